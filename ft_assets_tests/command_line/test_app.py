import subprocess
import sys

from ft_assets.settings import PROJECT_ROOT


def test_help_comes_at_once_and_loads_nothing_heavy():
    code = (
        "import sys, time\n"
        "from ft_assets.command_line.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = [m for m in ('polars', 'torch', 'mlflow', 'numpy', 'dagster', 'sqlalchemy') if m in sys.modules]\n"
        "print(heavy, time.process_time(), file=sys.stderr)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_ROOT, check=True)
    heavy, seconds = out.stderr.strip().rsplit(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 0.5
    assert all(name in out.stdout for name in ("why-not", "rollback", "approve"))

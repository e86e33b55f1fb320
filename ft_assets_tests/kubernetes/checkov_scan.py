"""checkov, from an environment of its own: it pins libraries that this project needs newer."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.manifest_files import K8S

CONFIG = K8S / ".checkov.yaml"
USUAL_PLACE = PROJECT_ROOT / ".cache" / "checkov" / "bin" / "checkov"


def failed_checks(framework: str, path: Path) -> list[str]:
    """What fails of a file, as "CKV_... resource". Skips the test where checkov is not installed."""
    checkov = os.environ.get("FT_ASSETS_CHECKOV") or str(USUAL_PLACE)
    if not Path(checkov).exists():
        pytest.skip("checkov is not installed: make .cache/checkov/bin/checkov")
    command = [checkov, "--framework", framework, "--config-file", str(CONFIG), "--file", str(path), "--output", "json"]
    done = subprocess.run([*command, "--skip-download", "--soft-fail"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["passed"] > 0, f"checkov found nothing to check in {path.name}"
    assert not report["summary"]["parsing_errors"]
    return [
        f"{each['check_id']} {each['resource']}: {each['check_name']}" for each in report["results"]["failed_checks"]
    ]


def written(things: Sequence[Any], path: Path) -> Path:
    """The objects as one file."""
    path.write_text(yaml.safe_dump_all(json.loads(json.dumps(list(things)))))
    return path

"""The code location as a whole: what it holds, and what it does not import."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from ft_assets.definitions import defs

ROOT = Path(__file__).resolve().parents[2]
GRAPH = Path(__file__).with_name("asset_graph.txt")
HEAVY = ["torch", "transformers", "peft", "trl", "datasets", "mlflow", "pandas", "matplotlib", "boto3", "dagster_k8s"]


@pytest.fixture(scope="module")
def location() -> dg.Definitions:
    return defs()


def graph_as_text(location: dg.Definitions) -> str:
    """Keys, dependencies, groups and checks, one line each."""
    graph = location.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string()):
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "nothing"
        lines.append(f"{key.to_user_string()} ({node.group_name}) from {parents}")
        checks = sorted(
            (graph.get(check) for check in graph.asset_check_keys if check.asset_key == key), key=lambda c: c.key.name
        )
        lines += [f"  check {check.key.name}{' (blocking)' if check.blocking else ''}" for check in checks]
    lines += [f"job {job.name}" for job in sorted(location.jobs or [], key=lambda job: job.name)]
    lines += [f"schedule {schedule.name}" for schedule in sorted(location.schedules or [], key=lambda s: s.name)]
    lines += [f"sensor {sensor.name}" for sensor in sorted(location.sensors or [], key=lambda s: s.name)]
    return "\n".join(lines) + "\n"


def test_the_asset_graph_is_the_reviewed_one(location: dg.Definitions) -> None:
    assert graph_as_text(location) == GRAPH.read_text(), (
        "If the change is meant, write the new graph to asset_graph.txt"
    )


def test_loading_imports_no_heavy_library() -> None:
    code = (
        "import os, sys, ft_assets.definitions as d; early = 'polars' in sys.modules; d.defs()\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], early, 'decay' in os.environ['_RJEM_MALLOC_CONF'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.strip() == "[] False True", "polars must be imported after its allocator was told to keep memory"


@pytest.mark.slow
def test_domain_code_runs_without_dagster() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "ft_assets").rglob("*.py"))
        if "defs" not in path.parts and path.name not in ("definitions.py", "__init__.py")
    ]
    light = [m for m in modules if not m.startswith(("ft_assets.training.sft", "ft_assets.evaluation.reporting.plots"))]
    code = f"import importlib, sys\nfor m in {light!r}: importlib.import_module(m)\nprint('dagster' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.strip() == "False"


def test_no_stage_imports_another_stage() -> None:
    stages = ["ingest", "curation", "dataset", "training", "evaluation", "release"]
    crossings = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for stage in stages
        for path in (ROOT / "ft_assets" / stage).rglob("*.py")
        for line in path.read_text().splitlines()
        if any(f"ft_assets.{other}" in line and "import" in line for other in stages if other != stage)
    ]
    assert crossings == []


def test_every_asset_explains_itself(location: dg.Definitions) -> None:
    graph = location.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and "Fails when" in node.description, key
        assert node.description.startswith("One "), f"{key}: the first line starts with the grain"
        assert node.owners and node.kinds and node.group_name != "default", key


def test_sensors_and_schedules_are_on_by_default(location: dg.Definitions) -> None:
    off = [s.name for s in location.sensors or [] if s.default_status != dg.DefaultSensorStatus.RUNNING]
    off += [s.name for s in location.schedules or [] if s.default_status != dg.DefaultScheduleStatus.RUNNING]
    assert off == []


def test_a_sixth_specialization_is_one_file_and_a_new_partition(tmp_path: Path) -> None:
    for path in (ROOT / "ft_assets" / "specializations").glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    qa = (tmp_path / "qa-engineer.yaml").read_text()
    (tmp_path / "release-manager.yaml").write_text(qa.replace("name: qa-engineer", "name: release-manager"))
    code = "from ft_assets.defs.conventions import MODEL_LINES; print(MODEL_LINES.get_partition_keys())"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={"PATH": "/usr/bin:/bin", "FT_ASSETS_SPECIALIZATIONS": str(tmp_path)},
    )
    assert "release-manager" in out.stdout and "qa-engineer" in out.stdout


def test_a_malformed_specialization_stops_loading_and_names_the_key(tmp_path: Path) -> None:
    text = (ROOT / "ft_assets" / "specializations" / "qa-engineer.yaml").read_text()
    (tmp_path / "qa-engineer.yaml").write_text(text + "\nlearnig_rate: 1\n")
    out = subprocess.run(
        [sys.executable, "-c", "import ft_assets.definitions as d; d.defs()"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={"PATH": "/usr/bin:/bin", "FT_ASSETS_SPECIALIZATIONS": str(tmp_path)},
    )
    assert out.returncode != 0
    assert "qa-engineer.yaml" in out.stderr and "learnig_rate" in out.stderr

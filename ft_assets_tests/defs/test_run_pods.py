"""The run launcher of a cluster, where it is made without a cluster to speak to."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow]
# RunPods exists only where FT_ASSETS_EXECUTION is k8s, which is read once: so in a process of its own.
IN_A_STEP = """
from ft_assets.defs.run_pods import RunPods
launcher = RunPods(service_account_name="x", instance_config_map="x", dagster_home="/x")
print(launcher.supports_check_run_worker_health, launcher.has_instance)
"""


def test_a_steps_pod_which_has_no_token_can_make_the_launcher_of_its_instance() -> None:
    assert said_by(IN_A_STEP, DAGSTER_RUN_STEP_KEY="trained").stdout.split() == ["True", "False"]
    assert "ConfigException" in said_by(IN_A_STEP).stderr, "anybody else needs one, and is told so"


def said_by(program: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    settings = {
        "FT_ASSETS_EXECUTION": "k8s",
        "FT_ASSETS_STATE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "FT_ASSETS"))}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, **settings, **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )

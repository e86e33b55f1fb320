"""A hundred new examples start exactly one run, whenever the daemon dies and whenever the code server restarts.

FT_ASSETS_DAEMON_KILLS is how many of the points of a tick the daemon is killed at, one after the other, and how many
times more at a random moment; each costs a daemon's start and its fifteen seconds between ticks.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ft_assets.lake import Lake
from ft_assets_tests.defs.daemon_kills import POINTS, SENSOR, Installation, until
from ft_assets_tests.retraining.lines import LINE, curate, train_rows

pytestmark = [pytest.mark.service, pytest.mark.slow]
KILLS = int(os.environ.get("FT_ASSETS_DAEMON_KILLS") or 0)
AT = POINTS if KILLS else ("RUN_CREATED",)
YAML = f"name: {LINE}\ndescription: Made for tests.\nselect: {{roles: [{LINE}]}}\nbase_model: tiny-base\n"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / f"{LINE}.yaml").write_text(YAML)
    names = {"FT_ASSETS_LAKE": "lake", "FT_ASSETS_CACHE": "cache", "FT_ASSETS_SPECIALIZATIONS": "lines"}
    environment = {name: str(tmp_path / place) for name, place in names.items()}
    made = Installation(tmp_path, environment | {"DAGSTER_HOME": str(tmp_path / "dagster"), "FT_ASSETS_STATE_URL": ""})
    made.write()
    yield made
    made.stop()


def runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(job_name="retrain")))


def ticks(instance: dg.DagsterInstance) -> int:
    """How many ticks of the sensor came to their end."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name == SENSOR]
    if not states:
        return 0
    origin, selector = states[0].instigator_origin_id, states[0].selector_id
    return sum(tick.status.value != "STARTED" for tick in instance.get_ticks(origin, selector, limit=100))


def wait_for_ticks(instance: dg.DagsterInstance, more: int) -> None:
    before = ticks(instance)
    until(lambda: ticks(instance) >= before + more, "the sensor does not tick")


def test_a_hundred_new_examples_start_one_run_whenever_the_daemon_dies(installation: Installation, tmp_path: Path):
    lake = Lake(str(tmp_path / "lake"))
    curate(lake, train_rows(99))
    server = installation.code_server()
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        daemon = installation.daemon(killed_at=AT[0])
        wait_for_ticks(instance, 1)
        assert runs(instance) == [], "99 start nothing"
        curate(lake, train_rows(100))
        for point in AT[1:]:
            assert daemon.wait(120) == -signal.SIGKILL
            daemon = installation.daemon(killed_at=point)
        assert daemon.wait(120) == -signal.SIGKILL
        server.kill()
        server.wait()
        installation.code_server()
        draw = random.Random(KILLS)
        for _ in range(KILLS):
            daemon = installation.daemon()
            time.sleep(draw.uniform(2, 25))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        installation.daemon()
        until(lambda: [run.status for run in runs(instance)] == [dg.DagsterRunStatus.QUEUED], "the run is not queued")
        wait_for_ticks(instance, 1)
        (run,) = runs(instance)
        assert run.tags["dagster/partition"] == LINE
        assert run.status == dg.DagsterRunStatus.QUEUED

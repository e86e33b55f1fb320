import json

import dagster as dg
import pytest

from ft_assets.definitions import defs
from ft_assets.defs.execution import GENERATES, TRAINS, executor, executor_of_small_steps, times_out_of_memory
from ft_assets.defs.reaper import jobs_of_finished_runs


@pytest.mark.parametrize("name", ["lora_checkpoint", "evaluation_report"])
def test_steps_that_train_or_generate_ask_for_a_gpu_through_their_op_tags(name: str) -> None:
    tags = defs().resolve_assets_def(name).op.tags
    asked = json.loads(tags["dagster-k8s/config"])
    assert asked["container_config"]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert defs().resolve_assets_def(name).op.pool == "gpu"


def test_no_other_step_asks_for_a_gpu() -> None:
    asking = {
        asset.op.name
        for asset in defs().resolve_asset_graph().assets_defs
        if asset.is_executable and "dagster-k8s/config" in asset.op.tags
    }
    assert asking == {"lora_checkpoint", "evaluation_report"}


def test_on_one_machine_steps_are_processes_and_there_is_nothing_to_reap() -> None:
    assert (executor().name, executor_of_small_steps().name) == ("multiprocess", "in_process")
    with dg.DagsterInstance.ephemeral() as instance:
        skipped = jobs_of_finished_runs(dg.build_sensor_context(instance=instance))
    assert isinstance(skipped, dg.SkipReason) and "there are no Jobs" in str(skipped.skip_message)


def test_a_step_that_was_never_killed_for_memory_counts_none() -> None:
    @dg.asset(op_tags=TRAINS)
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"times": times_out_of_memory(context)})

    result = dg.materialize([trained])
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["times"].value == 0


def test_what_trains_can_go_on_smaller_and_what_only_generates_cannot() -> None:
    assert set(TRAINS) - set(GENERATES) == {"ft_assets/smaller_batches"}

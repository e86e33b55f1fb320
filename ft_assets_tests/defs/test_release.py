"""The asset that registers and promotes, with real stores; MLflow is taken away and brought back."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.answers.trained_rows import trained_rows
from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.launched_by import launched_by
from ft_assets.defs.release import champion_was_proved, registered_model, registry_mirror
from ft_assets.lake import Artifact
from ft_assets.release.mirror import aliases_of
from ft_assets.specializations.release_settings import Approval, Release
from ft_assets.state_forgotten import note
from ft_assets.state_registry import evaluations, registrations
from ft_assets.state_taints import taint
from ft_assets.tracking import Tracking
from ft_assets_tests.command_line.installation import BETTER, LINE, Installation
from ft_assets_tests.mlflow_servers import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path / "installation")
    made.curate(LINE, "2026-03-01", 0, 150)
    return made


@pytest.fixture
def nowhere(tmp_path: Path) -> Tracking:
    """An MLflow server that is down."""
    return Tracking(f"http://127.0.0.1:{free_port()}", tmp_path / "spool")


def reported(instance: dg.DagsterInstance, installation: Installation, weights: str, **shares: float) -> Artifact:
    """A trained and evaluated model whose report the asset will find; nothing of it is registered yet."""
    adapter = installation.train(LINE, weights, by="Grace Hopper")
    report = installation.report(LINE, adapter, {**BETTER, **shares})
    event = dg.AssetMaterialization("evaluation_report", partition=LINE, metadata={"digest": report.digest})
    instance.report_runless_asset_event(event)
    return adapter


def materialize(
    instance: dg.DagsterInstance, installation: Installation, tracking: Tracking
) -> tuple[dict[str, Any], bool]:
    """The asset's metadata, and whether its check passed."""
    resources = {"lake": installation.lake, "state": installation.state, "tracking": tracking}
    result = dg.materialize(
        [registered_model, champion_was_proved, *upstream()],
        selection=[registered_model],
        partition_key=LINE,
        instance=instance,
        resources=resources,
    )
    made = result.asset_materializations_for_node("registered_model")[0]
    [check] = result.get_asset_check_evaluations()
    return {name: value.value for name, value in made.metadata.items()}, check.passed


def upstream() -> list[dg.AssetsDefinition]:
    from ft_assets.defs.evaluation import evaluation_report
    from ft_assets.defs.training import lora_checkpoint

    return [evaluation_report, lora_checkpoint]


def test_mlflow_down_delays_no_promotion_and_gets_everything_when_it_is_back(
    instance: dg.DagsterInstance, installation: Installation, nowhere: Tracking, tmp_path: Path
) -> None:
    adapter = reported(instance, installation, "one")
    metadata, proved = materialize(instance, installation, nowhere)
    assert (metadata["promoted"], metadata["champion"], proved) == (True, adapter.digest, True)
    assert "MLflow does not answer. Nothing is lost" in metadata["mlflow"]
    assert metadata["name"].startswith("ea-qa-engineer-tiny-base-v1.0-")
    assert (metadata["trained_by"], metadata["type"]) == ("Grace Hopper", "domain-specific")
    assert metadata["artifact_path"] == str(adapter.path)
    said, cursor = tick(instance, installation, nowhere)
    assert "MLflow does not answer" in said and cursor is None
    nowhere.uri = f"sqlite:///{tmp_path}/mlflow.db"
    said, cursor = tick(instance, installation, nowhere)
    assert "created: ea-qa-engineer-tiny-base-v1.0-" in said
    assert "Nothing was registered" in tick(instance, installation, nowhere, cursor)[0]
    taint(installation.state, [adapter.digest], "rows of a forgotten user", "forget")
    assert "renewed: ea-qa-engineer-tiny-base-v1.0-" in tick(instance, installation, nowhere, cursor)[0]
    champion = nowhere.client().get_model_version_by_alias("ea-qa-engineer", "champion")
    assert champion.tags["adapter_digest"] == adapter.digest


def tick(
    instance: dg.DagsterInstance, installation: Installation, tracking: Tracking, cursor: str | None = None
) -> tuple[str, str | None]:
    """What the sensor says, and its cursor afterwards."""
    resources = {"lake": installation.lake, "state": installation.state, "tracking": tracking}
    with dg.build_sensor_context(instance=instance, resources=resources, cursor=cursor) as context:
        said = registry_mirror(context)
        assert isinstance(said, dg.SkipReason)
        return str(said.skip_message), context.cursor


def test_a_line_that_asks_for_a_person_registers_and_waits(
    instance: dg.DagsterInstance, installation: Installation, nowhere: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECIALIZATIONS[LINE]
    careful = Release(approval=Approval(required=True))
    monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update={"release": careful}))
    adapter = reported(instance, installation, "one")
    metadata, proved = materialize(instance, installation, nowhere)
    assert metadata["promoted"] is False and proved
    assert "a person has to approve report" in metadata["not_promoted_because"]
    assert aliases_of(installation.state, LINE) == {"candidate": adapter.digest, "champion": None, "previous": None}


def test_a_tainted_model_is_registered_and_not_promoted(
    instance: dg.DagsterInstance, installation: Installation, nowhere: Tracking
) -> None:
    adapter = reported(instance, installation, "one")
    taint(installation.state, [adapter.digest], "rows of a forgotten user", "forget")
    metadata, _ = materialize(instance, installation, nowhere)
    assert metadata["promoted"] is False and "tainted" in metadata["not_promoted_because"]
    assert len(registrations(installation.state, LINE)) == 1


def test_a_model_of_rows_that_were_erased_while_it_was_trained_is_not_promoted(
    instance: dg.DagsterInstance, installation: Installation, nowhere: Tracking
) -> None:
    adapter = reported(instance, installation, "one")
    [row] = trained_rows(installation.lake, adapter.digest)[:1]
    found = {"examples": [row.row_id], "interactions": list(row.interaction_ids)}
    note(installation.state, "f" * 64, "0" * 16, "found", found, "an operator")
    metadata, _ = materialize(instance, installation, nowhere)
    assert not metadata["promoted"] and "asked to be forgotten" in metadata["not_promoted_because"]
    assert installation.state.champion(LINE) is None


def test_a_candidate_that_was_judged_against_a_fallen_champion_fails_the_step_and_names_who_won(
    instance: dg.DagsterInstance, installation: Installation, nowhere: Tracking
) -> None:
    one = reported(instance, installation, "one")
    materialize(instance, installation, nowhere)
    two = installation.train(LINE, "two")
    report = installation.report(LINE, two, {**BETTER, "champion": 0.3})
    installation.state.promote(LINE, "f" * 64, one.digest, "a test", "better", "report")
    instance.report_runless_asset_event(
        dg.AssetMaterialization("evaluation_report", partition=LINE, metadata={"digest": report.digest})
    )
    with pytest.raises(Exception, match=r"the champion is f{64} \(promotion 2, by a test"):
        materialize(instance, installation, nowhere)
    assert [each.model_digest for each in evaluations(installation.state, LINE)] == [one.digest, two.digest]


@pytest.mark.parametrize("harm", ["flipped", "tainted"])
def test_a_champion_that_is_damaged_or_tainted_shows_in_the_check(
    instance: dg.DagsterInstance, installation: Installation, nowhere: Tracking, harm: str
) -> None:
    champion = reported(instance, installation, "one")
    assert materialize(instance, installation, nowhere)[1]
    reported(instance, installation, "two", candidate=0.1)
    if harm == "tainted":
        taint(installation.state, [champion.digest], "rows of a forgotten user", "forget")
    else:
        weights = champion.path / "adapter_model.safetensors"
        weights.chmod(0o644)
        weights.write_text("One")
    metadata, proved = materialize(instance, installation, nowhere)
    assert metadata["champion"] == champion.digest and not metadata["promoted"] and not proved


@pytest.mark.parametrize(
    ("tags", "who"),
    [
        ({"ft_assets/launched_by": "Ada", "dagster/sensor_name": "s"}, "Ada"),
        ({"user": "ada@example.org"}, "ada@example.org"),
        ({"dagster/sensor_name": "new_high_score_samples"}, "sensor new_high_score_samples"),
        ({"dagster/schedule_name": "weekly_retraining"}, "schedule weekly_retraining"),
    ],
)
def test_who_launched_a_run_is_a_person_or_an_automation(tags: dict[str, str], who: str) -> None:
    assert launched_by(dg.DagsterRun("retrain", run_id="r", tags=tags)) == who
    assert json.dumps(launched_by(dg.DagsterRun("retrain", run_id="r"))) != '""', "on one's own machine, its account"

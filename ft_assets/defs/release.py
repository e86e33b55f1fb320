import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from ft_assets.defs.conventions import ML_ENG, MODEL_LINES, pinned, skip_record, skipped, specialization
from ft_assets.defs.evaluation import evaluation_report
from ft_assets.defs.training import lora_checkpoint
from ft_assets.lake import Artifact, Lake
from ft_assets.specializations.loader import Specialization
from ft_assets.state import State
from ft_assets.tracking import Tracking

if TYPE_CHECKING:
    from ft_assets.release.registry import Registration


@dg.asset(
    partitions_def=MODEL_LINES,
    deps=[lora_checkpoint, evaluation_report],
    group_name="release",
    kinds={"mlflow"},
    owners=ML_ENG,
)
def registered_model(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    state: dg.ResourceParam[State],
    tracking: dg.ResourceParam[Tracking],
) -> dg.MaterializeResult:
    """One MLflow model version per trained adapter, named `ea-<role>-<base>-v<version>-<date>`, alias `candidate`.

    It becomes `champion` only if this run's `evaluation_report` says promote on exactly this adapter against exactly
    the champion that is still in place (compare-and-set in the state database; MLflow is the mirror).
    Fails when the champion changed since the evaluation: materialize `evaluation_report` and this again.
    """
    from ft_assets.release.promotion import promote_if_allowed, read_verdict
    from ft_assets.release.registry import mirror_champion, register

    spec = specialization(context)
    if reason := skipped(spec):
        return skip_record(reason)
    report = lake.artifact("report", pinned(context, "evaluation_report"))
    verdict = read_verdict(report)
    adapter = lake.artifact("adapter", verdict.candidate)
    registration = describe(context, spec, state, adapter, report, verdict.summary)
    client = tracking.client()
    version = register(client, registration, adapter)
    by = f"dagster run {context.run.run_id}"
    promotion = promote_if_allowed(state, spec.name, adapter.digest, verdict, by)
    aliases = mirror_champion(client, state, spec.name)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(adapter.digest),
        metadata={
            "digest": adapter.digest,
            "name": version.version_name,
            "mlflow_model": f"{version.model} version {version.version}",
            "promoted": promotion is not None,
            "verdict": verdict.summary,
            "champion_version": aliases["champion"] or "none yet",
            **{key: registration.tags[key] for key in ("snapshot", "base_digest", "recipe_digest", "report_digest")},
        },
    )


def describe(
    context: dg.AssetExecutionContext,
    spec: Specialization,
    state: State,
    adapter: Artifact,
    report: Artifact,
    summary: str,
) -> "Registration":
    """What the registry says about this adapter, all of it from the adapter's own provenance and the report."""
    from ft_assets.release.registry import Registration
    from ft_assets.release.versioning import version_name
    from ft_assets.training.catalogue import resolve

    origin = json.loads((adapter.path / "provenance.json").read_text())
    created = datetime.now(UTC)
    number = state.assign_version(spec.name, adapter.digest)
    return Registration(
        specialization=spec.name,
        version_name=str(
            version_name(spec.name, resolve(spec.base_model).id, number, created.date(), spec.version_series)
        ),
        type=spec.model_type,
        snapshot=origin["snapshot"],
        adapter_digest=adapter.digest,
        base_digest=origin["base_digest"],
        recipe_digest=origin["recipe_digest"],
        report_digest=report.digest,
        verdict=summary,
        dagster_run_id=context.run.run_id,
        created_at=created,
        artifact_path=str(adapter.path),
    )


@dg.asset_check(asset=registered_model, partitions_def=MODEL_LINES)
def champion_was_proved(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.AssetCheckResult:
    """The champion's promotion names a report that says promote, on this very adapter."""
    from ft_assets.release.promotion import read_verdict

    champion = state.champion(specialization(context).name)
    if champion is None:
        return dg.AssetCheckResult(passed=True, metadata={"champion": "none yet"})
    verdict = read_verdict(lake.artifact("report", champion.evidence))
    proved = verdict.candidate == champion.model_digest and verdict.outcome == "promote"
    return dg.AssetCheckResult(
        passed=proved,
        metadata={"champion": champion.model_digest, "evidence": champion.evidence, "verdict": verdict.summary},
        description=None
        if proved
        else f"Promotion {champion.number} by {champion.by} rests on a report that does not say so.",
    )

import json
import time
from typing import Any

import dagster as dg

from ft_assets.defs.conventions import (
    ML_ENG,
    MODEL_LINES,
    SPECIALIZATIONS,
    pinned,
    skip_record,
    specialization,
)
from ft_assets.defs.evaluation import evaluation_report
from ft_assets.defs.launched_by import launched_by
from ft_assets.defs.training import lora_checkpoint
from ft_assets.errors import IncompleteArtifact, Rerunnable
from ft_assets.lake import Lake
from ft_assets.specializations.choice import why_skipped
from ft_assets.state import State
from ft_assets.state_registry import record_evaluation, registrations
from ft_assets.state_taints import taints
from ft_assets.tracking import Tracking

NO_ANSWER = "MLflow does not answer. Nothing is lost: the sensor registry_mirror writes it when it does."
LOOK_AGAIN_SECONDS = 900  # also when nothing happened here: somebody may have emptied MLflow


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
    """One version per trained adapter, named `ea-<role>-<base>-v<version>-<date>`, alias `candidate`.

    It becomes `champion` only if this run's `evaluation_report` says promote on exactly this adapter against exactly
    the champion that is still in place (compare-and-set in the state database), if it is not tainted, and, where the
    line asks for one, if a person approved that report. MLflow mirrors all of it; while it is down, nothing waits.
    Fails when the champion changed since the evaluation: materialize `evaluation_report` and this again.
    """
    from ft_assets.erasure.late import taint_late
    from ft_assets.release.dossier import put_dossier
    from ft_assets.release.promotion import promote_if_allowed, read_verdict
    from ft_assets.release.registration import register_version
    from ft_assets.release.registry import artifact_location
    from ft_assets.specializations.about_line import about_line
    from ft_assets.training.catalogue import resolve

    spec = specialization(context)
    if reason := why_skipped(spec):
        return skip_record(reason)
    report = lake.artifact("report", pinned(context, "evaluation_report"))
    verdict = read_verdict(report)
    adapter = lake.artifact("adapter", verdict.candidate)
    if taint_late(lake, state, adapter.digest, "registered_model"):
        context.log.warning(f"{adapter.digest[:12]} is tainted: rows that it learned from were erased meanwhile.")
    base, who = resolve(spec.base_model).id, launched_by(context.run)
    version = register_version(
        state, spec.name, spec.model_type, base, spec.version_series, adapter, who, SPECIALIZATIONS
    )
    record_evaluation(
        state, spec.name, adapter.digest, report.digest, verdict.outcome, verdict.summary, context.run.run_id
    )
    by, asks = f"dagster run {context.run.run_id}", spec.release.approval.required
    decision = promote_if_allowed(state, spec.name, adapter.digest, verdict, by, needs_approval=asks)
    champion = state.champion(spec.name)
    dossier = put_dossier(lake, state, spec.name, adapter.digest, about_line(spec))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(adapter.digest),
        metadata={
            "digest": adapter.digest,
            "name": version.version_name,
            "type": version.type,
            "artifact_path": artifact_location(lake, adapter.digest),
            "created_at": dg.MetadataValue.timestamp(version.at),
            "trained_by": version.trained_by,
            "promoted": decision.promotion is not None,
            **({"not_promoted_because": decision.why_not} if decision.why_not else {}),
            "verdict": verdict.summary,
            "champion": champion.model_digest if champion else "none yet",
            "snapshot": version.snapshot,
            "base_digest": version.base_digest,
            "recipe_digest": version.recipe_digest,
            "report_digest": report.digest,
            "dossier": dg.MetadataValue.md((dossier.path / "index.md").read_text(encoding="utf-8")),
            "dossier_path": dg.MetadataValue.path(str(dossier.path / "index.html")),
            "dossier_digest": dossier.digest,
            "mlflow": mirrored(context, lake, state, tracking, [spec.name])[0],
        },
    )


def mirrored(
    context: dg.AssetExecutionContext | dg.SensorEvaluationContext,
    lake: Lake,
    state: State,
    tracking: Tracking,
    lines: list[str],
) -> tuple[str, bool]:
    """Writes to MLflow what it lacks of these lines: what that was, and whether all of it is there now. Never raises
    because of MLflow."""
    from ft_assets.release.dossier_mirror import mirror_dossiers
    from ft_assets.release.mirror import answers, repair_mirror
    from ft_assets.specializations.about_line import about_line

    if not registrations(state):
        return "No version is registered yet", True
    if not answers(tracking.uri):
        return NO_ANSWER, False
    from ft_assets.tracking_delivery import failures

    of_a_mirror: tuple[type[Exception], ...] = (Rerunnable, *failures())
    try:
        repaired = repair_mirror(tracking.client(), state, lake, lines)
        for spec in (SPECIALIZATIONS[line] for line in lines if line in SPECIALIZATIONS):
            changed = mirror_dossiers(tracking.client(), lake, state, spec.name, about_line(spec))
            repaired.renewed.extend(f"dossier of {name}" for name in changed)
    except of_a_mirror as error:
        context.log.warning(str(error))
        return str(error), False
    for problem in repaired.problems:
        context.log.error(problem)
    return repaired.in_words, not repaired.problems


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def registry_mirror(
    context: dg.SensorEvaluationContext,
    lake: dg.ResourceParam[Lake],
    state: dg.ResourceParam[State],
    tracking: dg.ResourceParam[Tracking],
) -> dg.SkipReason:
    """Gives MLflow what it missed while it was down or lost since: versions, tags, aliases and trainings' metrics.

    Asks MLflow when something was registered, promoted or tainted, and every quarter of an hour.
    """
    from ft_assets.release.mirror import answers, stamp

    lines, now = list(SPECIALIZATIONS), time.time()
    before, stamped = json.loads(context.cursor or "{}"), stamp(state, lines)
    quiet = before.get("stamp") == stamped and now - before.get("at", 0) < LOOK_AGAIN_SECONDS
    if quiet and not tracking.waiting():
        return dg.SkipReason("Nothing was registered, promoted or tainted since the last look.")
    if not answers(tracking.uri):
        return dg.SkipReason(NO_ANSWER)
    tracking.deliver()
    said, is_whole = mirrored(context, lake, state, tracking, lines)
    if is_whole:
        context.update_cursor(json.dumps({"stamp": stamped, "at": now}))
    return dg.SkipReason(said)


@dg.asset_check(asset=registered_model, partitions_def=MODEL_LINES)
def champion_was_proved(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.AssetCheckResult:
    """The champion is whole, not tainted, and its promotion names a report that says promote on this very adapter."""
    from ft_assets.release.promotion import read_verdict

    champion = state.champion(specialization(context).name)
    if champion is None:
        return dg.AssetCheckResult(passed=True, metadata={"champion": "none yet"})
    facts: dict[str, Any] = {
        "champion": champion.model_digest,
        "promotion": str(champion.number),
        "by": champion.by,
        "why": champion.why,
    }
    try:
        lake.artifact("adapter", champion.model_digest)
        verdict = read_verdict(lake.artifact("report", champion.evidence))
    except IncompleteArtifact as damage:
        return dg.AssetCheckResult(passed=False, metadata=facts, description=str(damage))
    problems = [f"It is tainted: {taint.reason}." for taint in taints(state).get(champion.model_digest, [])]
    if (verdict.candidate, verdict.outcome) != (champion.model_digest, "promote"):
        problems.append(f"Promotion {champion.number} by {champion.by} rests on a report that does not say so.")
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={**facts, "evidence": champion.evidence, "verdict": verdict.summary},
        description=f"{' '.join(problems)} Promote a newer model, or run ft-assets rollback." if problems else None,
    )

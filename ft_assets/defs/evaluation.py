import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from ft_assets.defs.conventions import (
    GPU_POOL,
    ML_ENG,
    MODEL_LINES,
    partition,
    pinned,
    skip_record,
    skipped,
    specialization,
)
from ft_assets.defs.dataset import golden_of, train_eval_split
from ft_assets.defs.training import base_model, lora_checkpoint
from ft_assets.defs.training_checks import refuse_eval_rows
from ft_assets.defs.training_report import picture
from ft_assets.lake import Lake
from ft_assets.specializations.loader import Specialization
from ft_assets.state import State


@dg.asset(
    partitions_def=MODEL_LINES,
    deps=[train_eval_split, base_model, lora_checkpoint],
    group_name="evaluation",
    kinds={"pytorch", "markdown"},
    owners=ML_ENG,
    pool=GPU_POOL,
)
def evaluation_report(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.MaterializeResult:
    """One report per specialization: candidate against base and champion on the same prompts, and the gate's verdict.

    From this run's `lora_checkpoint` and the snapshot and base that its provenance names. The golden set decides where
    there is one, otherwise the snapshot's eval side. Answers are kept in the table `predictions`, so that a model is
    never asked the same suite twice. `hold` is a normal result, not a failure.
    Fails when an answer is missing or is not a finite number: materialize it again, what is there is kept.
    """
    from ft_assets.evaluation.gate import decide
    from ft_assets.evaluation.generate import decoding
    from ft_assets.evaluation.report import ReportFacts, write_report
    from ft_assets.training.training_log import preferences_in

    spec = specialization(context)
    if reason := skipped(spec):
        return skip_record(reason)
    candidate = pinned(context, "lora_checkpoint", lambda digest: refuse_eval_rows(lake, spec, digest))
    origin = json.loads((lake.artifact("adapter", candidate).path / "provenance.json").read_text())
    champion = state.champion(spec.name)
    incumbent = champion.model_digest if champion and champion.model_digest != candidate else None
    models = {"base": origin["base_digest"], "candidate": candidate} | ({"champion": incumbent} if incumbent else {})
    suites = answer_suites(context, lake, spec, models, origin)
    judged = suites[0]
    scores = judged.scores
    verdict = decide(scores["candidate"], scores["base"], scores.get("champion"), spec.gate)
    with tempfile.TemporaryDirectory() as folder:
        facts = ReportFacts(
            specialization=spec.name,
            models=models,
            snapshot=origin["snapshot"],
            recipe_digest=origin["recipe_digest"],
            rules=spec.gate,
            verdict=verdict,
            judged_suite=judged.name,
            suites=suites,
            decoding=decoding(spec.evaluation.max_new_tokens),
            preferences=preferences_in(lake.artifact("adapter", candidate).path),
        )
        write_report(Path(folder), facts)
        report = lake.put_artifact("report", Path(folder))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.digest),
        metadata={
            "digest": report.digest,
            "path": dg.MetadataValue.path(str(report.path)),
            "verdict": verdict.summary,
            "report": dg.MetadataValue.md((report.path / "report.md").read_text()),
            "metrics": picture((report.path / "metrics.png").read_bytes()),
            "differences": picture((report.path / "differences.png").read_bytes()),
            "candidate": candidate,
            "champion": incumbent or "none yet",
            "snapshot": origin["snapshot"],
        },
    )


def answer_suites(
    context: dg.AssetExecutionContext, lake: Lake, spec: Specialization, models: dict[str, str], origin: dict[str, Any]
) -> list[Any]:
    """Each suite answered by each model; the first one is what the verdict rests on."""
    from ft_assets.dataset.rows import read_side
    from ft_assets.evaluation.report import suite_of
    from ft_assets.evaluation.suites import answered, golden_items, snapshot_items

    snapshot, base = lake.artifact("snapshot", origin["snapshot"]), lake.artifact("base_model", models["base"])
    named = {"snapshot eval side": snapshot_items(read_side(snapshot.path, "eval"))}
    if spec.evaluation.golden_set:
        only_role = spec.select.roles[0] if len(spec.select.roles) == 1 else None  # a golden row names no role
        named = {"golden set": golden_items(golden_of(spec, lake), only_role)} | named
    adapters = {side: lake.artifact("adapter", digest).path for side, digest in models.items() if side != "base"}
    suites = []
    for name, items in named.items():
        if not items:
            continue
        predictions = {}
        for side, digest in models.items():
            predictions[side] = answered(
                lake,
                digest,
                base.path,
                adapters.get(side),
                items,
                spec.system_prompt.as_written(),
                spec.evaluation.max_new_tokens,
                progress_of(context, f"{name}: {side}"),
            )
        suites.append(suite_of(name, predictions["base"][0].suite_digest, items, predictions))
    return suites


def progress_of(context: dg.AssetExecutionContext, who: str) -> Callable[[int, int], None]:
    """Logs each finished batch."""
    return lambda done, of: context.log.info(f"{who} answered {done} of {of}")


@dg.asset_check(asset=evaluation_report, partitions_def=MODEL_LINES, blocking=True)
def every_model_answered_the_same_prompts(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """Candidate, base and champion answered every prompt of each suite once, with finite numbers."""
    from ft_assets.evaluation.integrity import integrity_problems

    if reason := skipped(specialization(context)):
        return dg.AssetCheckResult(passed=True, metadata={"status": "SKIPPED", "reason": reason})
    report = lake.artifact("report", pinned(context, "evaluation_report"))
    problems = integrity_problems(json.loads((report.path / "report.json").read_text()))
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={"problems": problems, "specialization": partition(context)},
        description=f"{problems[0]} The verdict is worth nothing: materialize evaluation_report again."
        if problems
        else None,
    )

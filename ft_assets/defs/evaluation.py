import json
import tempfile
from pathlib import Path

import dagster as dg

from ft_assets.defs.conventions import (
    GPU_POOL,
    ML_ENG,
    MODEL_LINES,
    partition,
    pinned,
    skip_record,
    specialization,
)
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.evaluation_facts import facts_of
from ft_assets.defs.evaluation_models import LineMetrics, sides_of
from ft_assets.defs.evaluation_suites import suites_of
from ft_assets.defs.execution import GENERATES
from ft_assets.defs.training import base_model, lora_checkpoint
from ft_assets.defs.training_checks import refuse_eval_rows
from ft_assets.defs.training_report import picture
from ft_assets.lake import Lake
from ft_assets.specializations.choice import why_skipped
from ft_assets.specializations.gate_check import not_blocking
from ft_assets.state import State


@dg.asset(
    partitions_def=MODEL_LINES,
    deps=[train_eval_split, base_model, lora_checkpoint],
    group_name="evaluation",
    kinds={"pytorch", "markdown"},
    owners=ML_ENG,
    pool=GPU_POOL,
    op_tags=GENERATES,
)
def evaluation_report(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.MaterializeResult:
    """One report per specialization: candidate against champion and base on the same questions, and the gate's verdict.

    From this run's `lora_checkpoint` and the snapshot and base that its provenance names. The golden set decides where
    there is one, otherwise the snapshot's eval side; general ability, the other lines' golden sets and files of the
    line's own are reported beside it. Answers are kept in the table `predictions`, so that a model is never asked the
    same question twice and an evaluation that was cut off goes on. `hold` is a normal result, not a failure.
    An evaluation that answered less than 98 % of a suite says so in its verdict and promotes nobody. Fails when there
    is no question at all, or a suite's file is not the frozen one: the message names it.
    """
    from ft_assets.evaluation.deciding.judgement import judged
    from ft_assets.evaluation.report import write_report
    from ft_assets.evaluation.side_by_side import side_by_side

    spec = specialization(context)
    if reason := why_skipped(spec):
        return skip_record(reason)
    candidate = pinned(context, "lora_checkpoint", lambda digest: refuse_eval_rows(lake, spec, digest))
    origin = json.loads((lake.artifact("adapter", candidate).path / "provenance.json").read_text())
    champion = state.champion(spec.name)
    incumbent = champion.model_digest if champion and champion.model_digest != candidate else None
    models = {"candidate": candidate} | ({"champion": incumbent} if incumbent else {}) | {"base": origin["base_digest"]}
    suites = suites_of(lake, spec, lake.artifact("snapshot", origin["snapshot"]).path)
    metrics = LineMetrics(lake, spec, judged_suite=suites[0].name)
    answered = side_by_side(
        lake,
        suites,
        sides_of(lake, spec, models, origin["snapshot"], suites),
        metrics.of_suite,
        lambda what, done, of: context.log.info(f"{what} answered {done} of {of}"),
    )
    verdict = judged(state, spec.name, spec.gate, answered, models, not_blocking(spec))
    with tempfile.TemporaryDirectory() as folder:
        in_use = champion is not None and incumbent is None
        write_report(Path(folder), facts_of(context, lake, spec, models, origin, answered, metrics, verdict, in_use))
        lake.artifact("snapshot", origin["snapshot"])  # erased by request meanwhile: no report may show its rows
        report = lake.put_artifact("report", Path(folder))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.digest),
        metadata={
            "digest": report.digest,
            "path": dg.MetadataValue.path(str(report.path)),
            "verdict": verdict.summary,
            "report": dg.MetadataValue.md((report.path / "report.md").read_text()),
            "report_page": dg.MetadataValue.path(str(report.path / "report.html")),
            **{path.stem: picture(path.read_bytes()) for path in sorted(report.path.glob("*.png"))},
            "blind_sample": next((str(path) for path in report.path.glob("blind-s*.csv")), "all answers are alike"),
            "candidate": candidate,
            "champion": incumbent or "none yet",
            "snapshot": origin["snapshot"],
        },
    )


@dg.asset_check(asset=evaluation_report, partitions_def=MODEL_LINES, blocking=True)
def every_model_answered_the_same_prompts(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """Every side answered the same questions, with finite numbers, and the verdict's figures follow from the rows."""
    from ft_assets.evaluation.reporting.integrity import integrity_problems

    if reason := why_skipped(specialization(context)):
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

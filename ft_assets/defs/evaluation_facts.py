import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.evaluation_models import LineMetrics, preferences_of
from ft_assets.errors import MissingInput
from ft_assets.lake import Artifact, Lake
from ft_assets.specializations.choice import golden_of
from ft_assets.specializations.loader import Specialization

if TYPE_CHECKING:
    from ft_assets.evaluation.deciding.verdict import Verdict
    from ft_assets.evaluation.judging.pairwise_judge import Preferences
    from ft_assets.evaluation.reporting.blind_verdicts import BlindResult
    from ft_assets.evaluation.reporting.report_facts import ReportFacts, Spent
    from ft_assets.evaluation.side_by_side import SideBySide

REPORTS_LOOKED_AT = 20  # earlier reports of a line whose blind samples may have come back
BLIND_FOLDER = "review"  # in the lake: review/blind-<sample>.csv, filled in


def facts_of(
    context: dg.AssetExecutionContext,
    lake: Lake,
    spec: Specialization,
    models: Mapping[str, str],
    origin: Mapping[str, Any],
    answered: "SideBySide",
    metrics: LineMetrics,
    verdict: "Verdict",
    candidate_is_champion: bool,
) -> "ReportFacts":
    """Everything that the report tells, from the lake and from what earlier runs reported."""
    from ft_assets.dataset.snapshot import read_counts
    from ft_assets.evaluation.asking.model_to_ask import base_of
    from ft_assets.evaluation.reporting.report_facts import ReportFacts
    from ft_assets.evaluation.sandbox import protections
    from ft_assets.training.training_log import preferences_in

    snapshot = lake.artifact("snapshot", origin["snapshot"])
    blind, unreadable = blind_verdicts(context, lake, spec)
    preferences = preferences_of(lake, answered)
    return ReportFacts(
        specialization=spec.name,
        description=spec.description,
        models=models,
        bases={side: base_of(lake, digest) for side, digest in models.items()},
        snapshot=snapshot.digest,
        snapshot_sizes={str(side): rows for side, rows in read_counts(snapshot.path).rows_by_side.items()},
        recipe_digest=origin["recipe_digest"],
        rules=spec.gate,
        verdict=verdict,
        judged_suite=answered.judged.name,
        suites=answered.suites,
        metrics=list(metrics.used.values()),
        settings=dict(answered.settings["candidate"]),
        latency=answered.latency,
        spent=[*spent(context, spec, models["candidate"], answered), *judge_bill(metrics, preferences)],
        contamination=contamination(lake, spec, snapshot),
        preferences=preferences_in(lake.artifact("adapter", models["candidate"]).path),
        judge=preferences,
        sandbox=protections() if metrics.code_is_run else (),
        other_lines=other_lines(context, lake, spec),
        golden_budget=spec.gate.golden_decisions if answered.judged.kind == "golden" else None,
        blind=blind,
        not_measured=[*metrics.not_measured, *metrics.not_graded, *answered.not_measured, *unreadable],
        candidate_is_champion=candidate_is_champion,
    )


def spent(
    context: dg.AssetExecutionContext, spec: Specialization, candidate: str, answered: "SideBySide"
) -> "Iterator[Spent]":
    """The bill of training, as its run reported it, and of the answers."""
    from ft_assets.evaluation.reporting.report_facts import Spent

    for made in materializations(context.instance, "lora_checkpoint", spec.name):
        if made.get("digest") == candidate:
            figures = [made.get(name) for name in ("device_seconds", "gpu_seconds", "tokens", "cost_dollars")]
            yield Spent("training", *figures)
            break
    for side in ("candidate", "champion", "base"):
        rows = [row for suite in answered.suites for row in suite.predictions.get(side, ())]
        if rows:
            yield Spent(f"answers of the {side}", sum(row.seconds for row in rows), None, sum(r.n_tokens for r in rows))


def judge_bill(metrics: LineMetrics, preferences: "Preferences | None") -> "Iterator[Spent]":
    """What the judge was paid in this run; grades and preferences that were kept from before cost nothing."""
    from ft_assets.evaluation.reporting.report_facts import Spent

    if metrics.judge is None or preferences is None:
        return
    told = {"grades of a judge": metrics.judge.report(), "preferences of a judge": preferences.report}
    for what, its in told.items():
        tokens = its["prompt_tokens"] + its["completion_tokens"]
        priced = metrics.judge.rules.dollars_per_million_tokens is not None
        yield Spent(what, None, None, tokens, metrics.judge.rules.dollars(tokens) if priced else None)


def contamination(lake: Lake, spec: Specialization, snapshot: Artifact) -> dict[str, Any]:
    """What training rows share with questions, and how many planted copies the search for it finds."""
    from ft_assets.dataset.contamination import leaks
    from ft_assets.dataset.planted import planted_recall

    golden = golden_of(spec, lake)
    recall = planted_recall(snapshot.path, golden, seed=int(snapshot.digest[:8], 16))
    found = {f"planted copies found: {kind}": f"{each.found} of {each.planted}" for kind, each in recall.items()}
    return {"training rows that repeat a question": len(leaks(snapshot.path, golden)), **found}


def other_lines(context: dg.AssetExecutionContext, lake: Lake, spec: Specialization) -> dict[str, dict[str, float]]:
    """What the newest report of every other line says about the golden sets of the others."""
    from ft_assets.evaluation.report import interference_row

    rows = {}
    for line in (name for name in SPECIALIZATIONS if name != spec.name):
        for made in materializations(context.instance, "evaluation_report", line, 1):
            if (report := report_of(lake, made.get("digest"))) and report.get("format", 1) >= 2:
                rows[line] = interference_row(report)
    return {line: row for line, row in rows.items() if row}


def blind_verdicts(
    context: dg.AssetExecutionContext, lake: Lake, spec: Specialization
) -> "tuple[list[BlindResult], list[str]]":
    """Verdicts of people on the blind samples of the line's earlier reports, and what was wrong with their files."""
    from ft_assets.evaluation.reporting.blind_sample import KEY_FILE, read_key
    from ft_assets.evaluation.reporting.blind_verdicts import blind_results

    files, keys = {}, {}
    for made in materializations(context.instance, "evaluation_report", spec.name, REPORTS_LOOKED_AT):
        if report_of(lake, digest := made.get("digest")) is None:
            continue
        path = lake.artifact("report", str(digest)).path / KEY_FILE
        if path.is_file() and (key := read_key(path)).sample not in keys:
            keys[key.sample] = key
            try:
                files[f"blind-{key.sample}.csv"] = lake.read_file(f"{BLIND_FOLDER}/blind-{key.sample}.csv")
            except MissingInput:
                continue  # nobody has given it back yet
    return blind_results(files, list(keys.values()))


def report_of(lake: Lake, digest: str | None) -> dict[str, Any] | None:
    """The content of a report that is still stored."""
    if digest is None or not lake.has_artifact("report", digest):
        return None
    content: dict[str, Any] = json.loads((lake.artifact("report", digest).path / "report.json").read_text())
    return content


def materializations(
    instance: dg.DagsterInstance, asset: str, line: str, limit: int = REPORTS_LOOKED_AT
) -> Iterator[dict[str, Any]]:
    """The metadata of an asset's materializations for a line, newest first."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[line])
    for record in instance.fetch_materializations(wanted, limit=limit).records:
        if made := record.asset_materialization:
            yield {name: value.value for name, value in made.metadata.items()}

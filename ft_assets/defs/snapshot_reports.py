import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from ft_assets.defs.conventions import MODEL_LINES, pinned, specialization
from ft_assets.defs.dataset import judged_answers_of, train_eval_split
from ft_assets.lake import Artifact, Lake
from ft_assets.specializations.choice import golden_of
from ft_assets.specializations.loader import Specialization
from ft_assets.state import State

if TYPE_CHECKING:
    from ft_assets.dataset.card_facts import Subject
    from ft_assets.dataset.expectations import Outcome, Validation
    from ft_assets.dataset.expectations_figures import Line
    from ft_assets.dataset.summary import SnapshotSummary

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
NO_EARLIER = "no earlier snapshot"
READINESS = "snapshot_is_ready_to_train_on"
DATA_CARD = "data_card_adds_up"
EXPECTED = {
    "snapshot_holds_enough_rows": "Every side has rows, each example once, and not far fewer than last time.",
    "roles_and_tasks_are_balanced": "No task or role has nearly all train rows, and none that the line names has "
    "nearly none.",
    "lengths_are_within_bounds": "Tokens and answers are neither too short nor too long, and as long as in the last "
    "snapshot.",
    "scores_are_like_in_the_last_snapshot": "The scores are distributed as in the last snapshot: the largest gap "
    "between the cumulative distributions is small.",
    READINESS: "Enough train rows, preference pairs where the line needs them, human-verified rows, eval clusters, and "
    "rows of each task and role that the line names.",
}
CARD = {DATA_CARD: "Every record that came in is in the snapshot or was taken away for a reason that the card names."}


# A step beside `snapshot_checks`: training waits for that one, and need not wait for reports.
@dg.multi_asset_check(
    name="snapshot_reports",
    specs=[
        dg.AssetCheckSpec(name, asset=train_eval_split, description=description, partitions_def=MODEL_LINES)
        for name, description in (EXPECTED | CARD).items()
    ],
    can_subset=True,
)
def snapshot_reports(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> Iterator[dg.AssetCheckResult]:
    spec = specialization(context)
    snapshot = lake.artifact("snapshot", pinned(context, "train_eval_split"))
    last = earlier_snapshot(context.instance, lake, state, spec, snapshot.digest)
    reported = Reported(lake, spec, snapshot, last)
    wanted = {key.name for key in context.op_execution_context.selected_asset_check_keys}
    if wanted & set(EXPECTED):
        for result in expectation_results(lake, reported):
            if result.check_name in wanted:
                yield result
    if DATA_CARD in wanted:
        result, card = card_result(lake, reported)
        # The card is about the snapshot, so it stands beside the snapshot's own metadata as well.
        context.op_execution_context.log_event(
            dg.AssetObservation(train_eval_split.key, partition=spec.name, metadata={"data_card": card})
        )
        yield result


@dataclass(frozen=True)
class Reported:
    """A snapshot, the one before it, and what both reports need of them; read once."""

    lake: Lake
    spec: Specialization
    snapshot: Artifact
    last: Artifact | None

    @cached_property
    def rows(self) -> pl.DataFrame:
        from ft_assets.dataset.card_rows import snapshot_rows

        return snapshot_rows(self.snapshot.path, self.lake.scan("curated_examples"))

    @cached_property
    def last_rows(self) -> pl.DataFrame | None:
        from ft_assets.dataset.card_rows import snapshot_rows

        return snapshot_rows(self.last.path, self.lake.scan("curated_examples")) if self.last else None

    @cached_property
    def summary(self) -> "SnapshotSummary":
        from ft_assets.dataset.summary import read_counts

        return read_counts(self.snapshot.path)

    @cached_property
    def preferences(self) -> dict[str, int] | None:
        from ft_assets.dataset.card_rows import preferences_by_side

        return preferences_by_side(self.snapshot.path)

    @property
    def preference_pairs(self) -> int | None:
        """Pairs on the train side; None for a line that learns from none."""
        return (self.preferences or {}).get("train", 0) if "dpo" in self.spec.approach else None

    @cached_property
    def line(self) -> "Line":
        from ft_assets.dataset.expectations_figures import Line

        spec = self.spec
        return Line(
            name=spec.name,
            roles=spec.select.roles,
            task_types=spec.select.task_types,
            minimum_examples=spec.trigger.minimum_examples,
            minimum_eval_clusters=spec.gate.minimum_clusters,
            golden_clusters=len({row.cluster_id for row in golden_of(spec, self.lake)}),
            max_length=spec.recipe.max_length,
            needs_preferences="dpo" in spec.approach,
        )

    @cached_property
    def warnings(self) -> list[str]:
        """What the snapshot is not ready for."""
        from ft_assets.dataset.card_facts import gaps_of
        from ft_assets.dataset.readiness import readiness_warnings

        train = self.rows.filter(pl.col("side") == "train")
        return readiness_warnings(
            self.summary,
            self.line.minimum_eval_clusters,
            self.line.golden_clusters,
            limits=self.spec.expectations,
            preference_pairs=self.preference_pairs,
            judged_answers=judged_answers_of(self.spec, self.summary),
            role_gaps=gaps_of(train, "role", self.spec.select.roles),
        )


def earlier_snapshot(
    instance: dg.DagsterInstance, lake: Lake, state: State, spec: Specialization, digest: str
) -> Artifact | None:
    """What a snapshot is compared with: the one that was trained on last, otherwise the one made before it; None where
    there is none. One that retention has deleted is passed over."""
    trained = state.last_trained(spec.name)
    made = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=train_eval_split.key, asset_partitions=[spec.name]), limit=20
    )
    digests = [trained.snapshot] if trained else []
    for record in made.records:
        metadata = record.asset_materialization.metadata if record.asset_materialization else {}
        digests += [str(metadata["digest"].value)] if "digest" in metadata else []
    others = (each for each in digests if each != digest and lake.has_artifact("snapshot", each))
    return lake.artifact("snapshot", found) if (found := next(others, None)) else None


def expectation_results(lake: Lake, reported: Reported) -> Iterator[dg.AssetCheckResult]:
    """A result per check of EXPECTED, all from one validation, with its Data Docs kept and linked."""
    from ft_assets.dataset.expectations import validate
    from ft_assets.dataset.expectations_docs import write_docs
    from ft_assets.dataset.expectations_figures import figures_of

    spec, line = reported.spec, reported.line
    figures = figures_of(reported.rows, reported.last_rows, line, spec.expectations, reported.preference_pairs)
    validation = validate(reported.rows, figures, line, spec.expectations)
    last = reported.last.digest if reported.last else None
    with tempfile.TemporaryDirectory() as folder:
        write_docs(Path(folder), validation, spec.name, reported.snapshot.digest, last)
        docs = lake.put_artifact("expectations", Path(folder))
    for check in EXPECTED:
        yield expectation_result(check, validation, reported, docs)


def expectation_result(check: str, validation: "Validation", reported: Reported, docs: Artifact) -> dg.AssetCheckResult:
    from ft_assets.dataset.readiness import below_floor

    outcomes = validation.of(check)
    broken = [outcome for outcome in outcomes if not outcome.passed]
    told = [f"{each.expected}, found {each.observed}" for each in broken]
    extra: dict[str, Any] = {}
    floor: list[str] = []
    if check == READINESS:
        spec, line = reported.spec, reported.line
        floor = below_floor(
            reported.summary, spec.expectations.hard_floor, reported.preference_pairs, line.golden_clusters
        )
        told = [f"under the hard floor: {each}" for each in floor] + (reported.warnings if broken else [])
        extra = {"warnings": dg.MetadataValue.md("\n".join(f"- {each}" for each in reported.warnings) or "none")}
        if reported.preferences is not None:
            extra["preference_pairs_by_side"] = reported.preferences
    if reported.last is None and check != READINESS:
        told.append(NO_EARLIER)
    return dg.AssetCheckResult(
        check_name=check,
        passed=not broken and not floor,
        severity=ERROR if floor else WARN,
        metadata={
            "expectations": dg.MetadataValue.md(outcomes_table(outcomes)),
            "data_docs": dg.MetadataValue.path(str(docs.path / "index.html")),
            "data_docs_digest": docs.digest,
            "snapshot": reported.snapshot.digest,
            "compared_with": reported.last.digest if reported.last else NO_EARLIER,
            **extra,
        },
        description="; ".join(told) or None,
    )


def card_result(lake: Lake, reported: Reported) -> tuple[dg.AssetCheckResult, dg.MarkdownMetadataValue]:
    """The check that shows the data card, and the card itself."""
    from ft_assets.dataset.card import write_card

    subject = card_subject(lake, reported)
    with tempfile.TemporaryDirectory() as folder:
        card = dg.MetadataValue.md(write_card(Path(folder), subject, reported.rows, reported.last_rows))
        kept = lake.put_artifact("data_card", Path(folder))
    problems = subject.funnel.problems
    result = dg.AssetCheckResult(
        check_name=DATA_CARD,
        passed=not problems,
        severity=WARN,
        metadata={
            "data_card": card,
            "digest": kept.digest,
            "path": dg.MetadataValue.path(str(kept.path / "card.md")),
            "snapshot": reported.snapshot.digest,
        },
        description=f"{' '.join(problems)}. Materialize train_eval_split again, and the card is about today's tables."
        if problems
        else None,
    )
    return result, card


def card_subject(lake: Lake, reported: Reported) -> "Subject":
    """What the card tells of the snapshot beside its rows: how it was chosen, and what became of everything else."""
    from ft_assets.dataset.card_facts import Subject, faults_of_line
    from ft_assets.dataset.card_funnel import Landed, funnel_of
    from ft_assets.dataset.select import Selector
    from ft_assets.dataset.summary import read_counts

    recipe = json.loads((reported.snapshot.path / "recipe.json").read_bytes())
    selector = Selector.model_validate(recipe["selector"])  # the one it was made by, whatever the YAML says today
    curated = lake.scan("curated_examples")
    rejections = lake.scan("rejections") if lake.exists("rejections") else None
    landed = Landed(count_rows(lake, "raw_interactions"), count_rows(lake, "feedback"))
    return Subject(
        line=reported.spec.name,
        description=reported.spec.description,
        snapshot=reported.snapshot.digest,
        summary=reported.summary,
        selector=selector,
        funnel=funnel_of(reported.summary, selector, curated, rejections, landed),
        warnings=reported.warnings,
        last=reported.last.digest if reported.last else None,
        last_summary=read_counts(reported.last.path) if reported.last else None,
        preferences=reported.preferences,
        faults=faults_of_line(curated, selector),
        limits=reported.spec.expectations,
    )


def count_rows(lake: Lake, table: str) -> int:
    """Rows of the table; 0 when it was never written."""
    return int(lake.scan(table).select(pl.len()).collect().item()) if lake.exists(table) else 0


def outcomes_table(outcomes: "list[Outcome]") -> str:
    """Expectation, what was found, and whether it holds, as Markdown."""
    from ft_assets.dataset.card_words import label_sentence, table

    rows = [
        ("holds" if each.passed else "**broken**", label_sentence(each.expected), label_sentence(each.observed))
        for each in outcomes
    ]
    return table(["", "expected", "found"], rows)

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from ft_assets.compute import keep_what_is_loaded
from ft_assets.defs.conventions import CURATION_POOL, DATA_ENG, DAYS, ONE_RUN, SETTINGS
from ft_assets.defs.sources import raw_interactions
from ft_assets.defs.tables import in_batches, table_metadata
from ft_assets.errors import BadConfiguration
from ft_assets.lake import Lake
from ft_assets.rules_file import read_rules
from ft_assets.validated import validated

if TYPE_CHECKING:
    from ft_assets.curation.judge_agreement import Agreement

BATCH_ROWS = 50_000  # answers that are read, masked and committed together
NO_JUDGE = "no judge is configured: set FT_ASSETS_JUDGE_URL"
COVERED, AGREES = "judge_covered_what_was_submitted", "judge_agrees_with_people"
LARGE_DAY = 50  # submitted answers from which a day must be covered by itself, however large the run is
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    deps=[raw_interactions],
    group_name="curation",
    kinds={"polars", "deltalake"},
    owners=DATA_ENG,
    pool=CURATION_POOL,
    # In the asset's own step: without a judge, a step for its checks would cost more than all of it.
    check_specs=[
        dg.AssetCheckSpec(
            COVERED,
            asset="judge_scores",
            blocking=True,
            description="Of the answers submitted to the judge, 98 % (min_coverage) have a score; failures count.",
        ),
        dg.AssetCheckSpec(
            AGREES,
            asset="judge_scores",
            description="The judge's verdicts agree with people's by at least kappa 0.4 (min_kappa); below, its scores "
            "are kept and decide nothing.",
        ),
    ],
)
def judge_scores(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[Any]:
    """One row per judged answer and criterion (relevance, completeness, accuracy, clarity, helpfulness), from 0 to 1.

    Asks the OpenAI-compatible endpoint FT_ASSETS_JUDGE_URL about the answers of the day in `raw_interactions`. The text
    is masked before it leaves. What the same judge said about the same text, on any day, is not asked again. An answer
    without five valid grades is a row with its failure, and stays in the denominator; answers beyond the budgets of
    FT_ASSETS_RULES (section `judge`) are not submitted, and reported. `judge_agreement` says whether the judge may
    decide. Without an endpoint nothing is judged and nothing is written.
    Fails when under 98 % of the submitted answers were scored: see `failed` in the metadata, mend the endpoint, and
    materialize the day again; only what is missing is asked.
    """
    if SETTINGS.judge_url is None:
        yield dg.MaterializeResult(metadata={"judged": 0, "why": NO_JUDGE}, check_results=_nothing_to_check())
        return
    keep_what_is_loaded()
    days = list(context.partition_keys)
    judging = Judging(lake)
    rows = dict(lake.scan("raw_interactions", {"day": days}).group_by("day").agg(pl.len()).collect().rows())
    for batch in in_batches(days, rows, BATCH_ROWS):
        for day, report in judging.judge_batch(batch).items():
            context.add_asset_metadata(report, asset_key=context.asset_key, partition_key=day)
    judging.forget_published()
    found = judging.publish_agreement(days)
    yield dg.MaterializeResult(
        metadata={"judge_model": judging.model, **found._asdict(), **judging.circumstances()},
        check_results=[judging.covered(), agrees(found)],
    )


class Judging:
    """Judges batches of days one after the other, within the budgets of one run."""

    def __init__(self, lake: Lake):
        from ft_assets.curation.judge import Judge
        from ft_assets.judge_client import Endpoint, JudgeClient
        from ft_assets.judge_rules import JudgeRules

        if SETTINGS.judge_url is None or SETTINGS.judge_model is None:
            raise BadConfiguration(f"Nothing can be judged: {NO_JUDGE} and FT_ASSETS_JUDGE_MODEL.")
        self.lake, self.model = lake, SETTINGS.judge_model
        self.rules = read_rules(SETTINGS.rules, "judge", JudgeRules)
        endpoint = Endpoint(SETTINGS.judge_url, self.model, SETTINGS.judge_api_key)
        self.client = JudgeClient(endpoint, self.rules, SETTINGS.split_key)
        self.judge = Judge(self.client, self.model, self.rules, self.known, self.save)
        self.feedback = lake.scan("feedback").collect() if lake.exists("feedback") else None
        self.counts: dict[str, dict[str, Any]] = {}

    def judge_batch(self, days: list[str]) -> dict[str, dict[str, object]]:
        """Replaces these days in the table; the report of each day. An answer that came is never asked for again."""
        rows, counts = self.lake.settled(
            {"raw_interactions": {"day": days}}, lambda: self.compute(days), lambda made: self.commit(days, made[0])
        )
        self.counts |= {day: counts[day] for day in days if day in counts}
        by_day = dict(rows.group_by("day").len().iter_rows())
        return {day: table_metadata(rows, by_day.get(day, 0)) | counts.get(day, {"answers": 0}) for day in days}

    def compute(self, days: list[str]) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
        from ft_assets.curation.feedback import with_feedback

        raw = self.lake.scan("raw_interactions", {"day": days}).collect()
        return self.judge.scores(with_feedback(raw, self.feedback))

    def commit(self, days: list[str], rows: pl.DataFrame) -> None:
        from ft_assets.curation.judge_schema import JUDGE_SCORES

        self.lake.replace("judge_scores", validated(JUDGE_SCORES, rows, days), {"day": days})

    def known(self, content_ids: pl.Series) -> pl.DataFrame:
        """What this judge said about these texts in earlier runs, also in one that died."""
        from ft_assets.curation.judge import known_scores

        tables = [self.lake.scan(name) for name in ("judge_scores", "judge_cache") if self.lake.exists(name)]
        return known_scores(tables, self.model, content_ids)

    def save(self, rows: pl.DataFrame) -> None:
        """Keeps what was told while a batch is still being asked."""
        for (chunk,), its_rows in rows.group_by("chunk"):
            self.lake.replace("judge_cache", its_rows, {"chunk": [str(chunk)]})

    def forget_published(self) -> None:
        """Empties what judge_cache holds and judge_scores does too; also what a run that died has left."""
        if not self.lake.exists("judge_cache"):
            return
        cached = self.lake.scan("judge_cache").collect()
        same = ["content_id", "judge_model", "prompt_version"]
        theirs = pl.col("content_id").is_in(cached["content_id"].unique().implode())
        scored = self.lake.scan("judge_scores").filter(theirs, pl.col("status") == "scored").select(same).collect()
        unpublished = cached.join(scored, on=same, how="anti")["chunk"]
        if done := sorted(set(cached["chunk"]) - set(unpublished)):
            self.lake.replace("judge_cache", cached.clear(), {"chunk": done})

    def publish_agreement(self, days: list[str]) -> "Agreement":
        """What is known of this judge now, from all days, written for the days of this run."""
        from ft_assets.curation.judge_agreement import agreement, labels, verdicts
        from ft_assets.curation.judge_schema import JUDGE_AGREEMENT, JUDGE_AGREEMENT_SCHEMA
        from ft_assets.curation.rules import CurationRules
        from ft_assets.judge_prompt import PROMPT_VERSION

        curation = read_rules(SETTINGS.rules, "curation", CurationRules)
        same_judge = (pl.col("judge_model") == self.model) & (pl.col("prompt_version") == PROMPT_VERSION)
        said = verdicts(self.lake.scan("judge_scores").filter(same_judge), curation.min_judge_mean)
        people = labels(self.people_said(said["interaction_id"], curation.min_rating), curation.min_rating)
        found = agreement(said, people, self.rules)
        rows = [
            {"day": day, "judge_model": self.model, "prompt_version": PROMPT_VERSION, **found._asdict()} for day in days
        ]
        frame = pl.DataFrame(rows, schema=JUDGE_AGREEMENT_SCHEMA)
        self.lake.replace("judge_agreement", validated(JUDGE_AGREEMENT, frame, days), {"day": days})
        return found

    def people_said(self, interaction_ids: pl.Series, min_rating: float) -> pl.DataFrame:
        """The ratings, verdicts and corrections of these answers, whenever they came."""
        from ft_assets.curation.feedback import with_feedback
        from ft_assets.curation.judge_agreement import may_label

        columns = ("interaction_id", "user_id", "rating", "expert_verdict", "corrected_output", "outcome")
        is_theirs, most = pl.col("interaction_id").is_in(interaction_ids.implode()), self.rules.most_labels_per_user
        raw = self.lake.scan("raw_interactions").select(columns).filter(is_theirs).collect()
        raw = raw.with_columns(rating=pl.when(may_label(pl.col("rating").is_not_null(), most)).then("rating"))
        if self.feedback is None:
            return with_feedback(raw, None, min_rating)
        theirs = self.feedback.filter(is_theirs).filter(may_label(pl.col("kind") == "rating", most))
        return with_feedback(raw, theirs, min_rating)

    def circumstances(self) -> dict[str, str | int]:
        """How the run went as a whole."""
        from ft_assets.judge_prompt import PROMPT_VERSION

        return {
            "prompt_version": PROMPT_VERSION,
            "requests": self.client.requests,
            "structured_output": str(self.client.structured_output),
            "run_tokens": self.client.budget.tokens,
        }

    def covered(self) -> dg.AssetCheckResult:
        """Scored among submitted, for the run as a whole and for each large day; names the days."""
        bound = self.rules.min_coverage
        submitted, scored, cut_off = (
            sum(number(counts) for counts in self.counts.values())
            for number in (
                lambda counts: counts["submitted"],
                lambda counts: counts["scored"],
                lambda counts: sum(counts["not_submitted"].values()),
            )
        )
        short = {
            day: f"{counts['scored']} of {counts['submitted']}: {counts['failed']}"
            for day, counts in self.counts.items()
            if counts["submitted"] and counts["coverage"] < bound
        }
        large = [day for day in short if self.counts[day]["submitted"] >= LARGE_DAY]
        failed = submitted and (scored < bound * submitted or large)
        return dg.AssetCheckResult(
            check_name=COVERED,
            passed=not failed,
            severity=ERROR,
            metadata={
                "submitted": submitted,
                "scored": scored,
                "not_submitted": cut_off,
                "coverage": scored / submitted if submitted else "nothing was submitted",
                "days_below": dict(list(short.items())[:20]),
            },
            description=f"{scored} of {submitted} submitted answers were scored, and {bound:.0%} must be. Short: "
            f"{', '.join(list(short)[:5])}. See the kinds of failure, mend the endpoint or the limits in the section "
            "judge of FT_ASSETS_RULES, and materialize these days again: what is scored is not asked again."
            if failed
            else (None if submitted else "Nothing was submitted."),
        )


def agrees(found: "Agreement") -> dg.AssetCheckResult:
    """Whether the judge may decide, and why."""
    measured = {name: getattr(found, name) for name in ("labelled", "kappa", "kappa_low", "kappa_high")}
    return dg.AssetCheckResult(
        check_name=AGREES,
        passed=found.may_decide,
        severity=WARN,
        metadata={**{name: value for name, value in measured.items() if value is not None}, "reason": found.reason},
        description=f"{found.reason}."
        if found.may_decide
        else f"{found.reason}. Its scores are kept and decide nothing. Look at answers on which it and people differ, "
        "choose another model or prompt, or more labels.",
    )


def _nothing_to_check() -> list[dg.AssetCheckResult]:
    return [
        dg.AssetCheckResult(
            check_name=COVERED, passed=True, severity=ERROR, description=f"Nothing was submitted: {NO_JUDGE}."
        ),
        dg.AssetCheckResult(
            check_name=AGREES, passed=True, severity=WARN, description=f"Nothing to compare: {NO_JUDGE}."
        ),
    ]

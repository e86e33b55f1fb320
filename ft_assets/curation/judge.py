"""From a batch of days to their judge scores: what is known already, what is asked, and what each row says."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import polars as pl

from ft_assets.curation.judge_items import judged_items
from ft_assets.curation.judge_schema import CRITERIA, FAILED, JUDGE_CACHE_SCHEMA, JUDGE_SCORES_SCHEMA, SCORED
from ft_assets.judge_client import Outcome
from ft_assets.judge_prompt import PROMPT_VERSION, Item
from ft_assets.judge_rules import JudgeRules

HOLDS_SECRET = "holds_secret"
_ROW = {
    "content_id": pl.String,
    **dict.fromkeys(CRITERIA, pl.Float64),
    "failure": pl.String,
    "not_submitted": pl.String,
}
_OUTCOMES = pl.Schema(_ROW | {"prompt_tokens": pl.Int64, "completion_tokens": pl.Int64, "cached": pl.Boolean})


class Asks(Protocol):
    """Whoever gives outcomes for items: judge_client.JudgeClient."""

    def ask(self, items: Sequence[Item]) -> dict[str, Outcome]: ...


class Judge:
    """One run of a judge over batches of days. What it was told once it never asks again, nor what an earlier run was.

    `known` gives the scores of earlier runs: from content ids to a frame of content_id and CRITERIA. `save` gets what
    was told since the last call, with JUDGE_CACHE_SCHEMA, while a batch is still being asked.
    """

    def __init__(
        self,
        client: Asks,
        model: str,
        rules: JudgeRules,
        known: Callable[[pl.Series], pl.DataFrame],
        save: Callable[[pl.DataFrame], None],
    ):
        self.client, self.model, self.rules, self.known, self.save = client, model, rules, known, save
        self._told: dict[str, Outcome] = {}

    def scores(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
        """The rows of judge_scores for the days in `raw` (RAW_SCHEMA, feedback laid over it), and counts by day.

        Counts: answers, submitted (= scored + failed), scored, cached, failed (by kind), not_submitted (by the limit
        that left them out), prompt_tokens, completion_tokens, dollars, coverage (scored / submitted),
        mean_over_submitted, in which a failed answer counts 0, and mean_of_scored.
        """
        items = judged_items(raw, self.rules)
        known = self._known(items)
        asked = self._asked(items.join(known, on="content_id", how="anti"))
        outcomes = pl.concat([known, asked])
        rows = items.drop("question", "answer").join(outcomes, on="content_id", how="inner", maintain_order="left")
        rows = _counted_once(rows)
        days = raw["day"].unique().sort().to_list()
        submitted = rows.filter(pl.col("not_submitted").is_null())
        return self._long(submitted), {day: self._counts(rows.filter(pl.col("day") == day)) for day in days}

    def _known(self, items: pl.DataFrame) -> pl.DataFrame:
        """What earlier runs and this one were told about these texts, for nothing."""
        wanted = items["content_id"].unique()
        known = self.known(wanted)
        told = [(name, outcome) for name in wanted if (outcome := self._told.get(name)) and outcome.scores]
        earlier = [(name, Outcome(dict(zip(CRITERIA, scores, strict=True)))) for name, *scores in known.iter_rows()]
        free = {name: outcome._replace(prompt_tokens=0, completion_tokens=0) for name, outcome in [*told, *earlier]}
        return _frame(list(free.items())).with_columns(cached=pl.lit(True))

    def _asked(self, items: pl.DataFrame) -> pl.DataFrame:
        """What the endpoint says about texts of which nothing is known, asked in the order of day and content hash."""
        new = items.filter("may_ask").sort("day", "content_id").unique("content_id", keep="first", maintain_order=True)
        secret = {name: Outcome(failure=HOLDS_SECRET) for name in new.filter("secret")["content_id"]}
        waiting = new.filter(~pl.col("secret")).select("content_id", "question", "answer")
        outcomes: dict[str, Outcome] = {}
        for part in waiting.iter_slices(self.rules.items_between_saves):
            answers = self.client.ask([Item(*row) for row in part.iter_rows()])
            outcomes |= answers
            if waiting.height > part.height:  # a small batch is published as soon
                self.save(self._chunk(answers))
        self._told |= outcomes
        return _frame([*secret.items(), *outcomes.items()])

    def _chunk(self, answers: dict[str, Outcome]) -> pl.DataFrame:
        scored = _frame([(name, outcome) for name, outcome in answers.items() if outcome.scores])
        chunk = hashlib.sha256(f"{self.model}{PROMPT_VERSION}{sorted(answers)}".encode()).hexdigest()
        long = scored.unpivot(CRITERIA, index="content_id", variable_name="criterion", value_name="score")
        return long.with_columns(
            chunk=pl.lit(chunk),
            status=pl.lit(SCORED),
            judge_model=pl.lit(self.model),
            prompt_version=pl.lit(PROMPT_VERSION),
        ).select(list(JUDGE_CACHE_SCHEMA))

    def _long(self, rows: pl.DataFrame) -> pl.DataFrame:
        """One row per answer and criterion, from one per answer; tokens stand with the first criterion."""
        by_criterion = rows.with_columns(criterion=pl.lit(list(CRITERIA)), score=pl.concat_list(CRITERIA))
        long = by_criterion.explode("criterion", "score")
        is_first = pl.col("criterion") == CRITERIA[0]
        return (
            long.with_columns(
                pl.when(is_first).then(name).otherwise(0).alias(name) for name in ("prompt_tokens", "completion_tokens")
            )
            .with_columns(
                status=pl.when(pl.col("failure").is_null()).then(pl.lit(SCORED)).otherwise(pl.lit(FAILED)),
                judge_model=pl.lit(self.model),
                prompt_version=pl.lit(PROMPT_VERSION),
            )
            .select(list(JUDGE_SCORES_SCHEMA))
        )

    def _counts(self, rows: pl.DataFrame) -> dict[str, Any]:
        submitted = rows.filter(pl.col("not_submitted").is_null())
        scored = submitted.filter(pl.col("failure").is_null())
        total = float(scored.select(pl.mean_horizontal(CRITERIA).sum()).item())
        prompt, completion = (int(rows[name].sum()) for name in ("prompt_tokens", "completion_tokens"))
        return {
            "answers": rows.height,
            "submitted": submitted.height,
            "scored": scored.height,
            "cached": int(scored["cached"].sum()),
            "failed": _tally(submitted["failure"]),
            "not_submitted": _tally(rows["not_submitted"]),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "dollars": round(self.rules.dollars(prompt + completion), 6),
            "coverage": scored.height / submitted.height if submitted.height else None,
            "mean_over_submitted": total / submitted.height if submitted.height else None,
            "mean_of_scored": total / scored.height if scored.height else None,
        }


def known_scores(tables: Sequence[pl.LazyFrame], model: str, content_ids: pl.Series) -> pl.DataFrame:
    """content_id and a column per criterion: texts of `content_ids` that this judge scored with today's prompt.

    `tables` are judge_scores and judge_cache, as far as they exist. A text without all five criteria is not known.
    """
    same_judge = (pl.col("judge_model") == model) & (pl.col("prompt_version") == PROMPT_VERSION)
    wanted = same_judge & (pl.col("status") == SCORED) & pl.col("content_id").is_in(content_ids.implode())
    found = [table.filter(wanted).select("content_id", "criterion", "score") for table in tables]
    empty = pl.LazyFrame(schema={"content_id": pl.String, "criterion": pl.String, "score": pl.Float64})
    each = [pl.col("score").filter(pl.col("criterion") == name).min().alias(name) for name in CRITERIA]
    return pl.concat([empty, *found]).group_by("content_id").agg(each).drop_nulls().collect().sort("content_id")


def _frame(outcomes: Sequence[tuple[str, Outcome]]) -> pl.DataFrame:
    none = dict.fromkeys(CRITERIA)
    rows = [
        (
            name,
            *(each.scores or none).values(),
            each.failure,
            each.not_submitted,
            each.prompt_tokens,
            each.completion_tokens,
            False,
        )
        for name, each in outcomes
    ]
    return pl.DataFrame(rows, schema=_OUTCOMES, orient="row")


def _counted_once(rows: pl.DataFrame) -> pl.DataFrame:
    """Where one text stands in several rows, the first was asked for and the others were not."""
    is_first = pl.col("content_id").is_first_distinct()
    tokens = [pl.when(is_first).then(name).otherwise(0).alias(name) for name in ("prompt_tokens", "completion_tokens")]
    return rows.with_columns(*tokens, cached=pl.col("cached") | ~is_first)


def _tally(values: pl.Series) -> dict[str, int]:
    return dict(sorted(values.drop_nulls().value_counts().iter_rows()))

"""Every metric by its name: a new one is a `Metric` in its file and a line here. Light: no library before rows."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.judging.judge_metrics import Grades, judge_metrics
from ft_assets.evaluation.measures.classification_metrics import MACRO_F1
from ft_assets.evaluation.measures.closed_answers import CLASSIFICATION, CLOSED_TASKS
from ft_assets.evaluation.measures.code_quality import CODE_COMPLEXITY, CODE_LINT, CODE_SYNTAX
from ft_assets.evaluation.measures.code_runs import CODE_PASSES
from ft_assets.evaluation.measures.json_metrics import JSON_MATCHES_SCHEMA, JSON_VALID
from ft_assets.evaluation.measures.likelihood_metrics import PERPLEXITY, TOKEN_ACCURACY
from ft_assets.evaluation.measures.text_metrics import (
    ACCURACY,
    CUT_OFF_RATE,
    EXACT_MATCH,
    ROUGE_L,
    SECONDS_PER_ANSWER,
    TOKENS_PER_ANSWER,
)
from ft_assets.evaluation.measures.tool_call_metrics import TOOL_ARGUMENTS, TOOL_SELECTION, TOOL_TASKS
from ft_assets.evaluation.metric import Metric

# What a metric says something about [SPEC 5, 0.25].
Dimension = Literal["task performance", "code quality", "technical correctness", "response efficiency"]

_JUDGED = judge_metrics(None)  # without a judge they apply to no row
_LINES: Sequence[tuple[Metric, Dimension]] = (
    (EXACT_MATCH, "task performance"),
    (ROUGE_L, "task performance"),
    (ACCURACY, "task performance"),
    (MACRO_F1, "task performance"),
    (TOKEN_ACCURACY, "task performance"),
    (PERPLEXITY, "task performance"),
    (CODE_PASSES, "technical correctness"),
    (CODE_SYNTAX, "technical correctness"),
    (CODE_LINT, "code quality"),
    (CODE_COMPLEXITY, "code quality"),
    (JSON_VALID, "technical correctness"),
    (JSON_MATCHES_SCHEMA, "technical correctness"),
    (TOOL_SELECTION, "technical correctness"),
    (TOOL_ARGUMENTS, "technical correctness"),
    (TOKENS_PER_ANSWER, "response efficiency"),
    (SECONDS_PER_ANSWER, "response efficiency"),
    (CUT_OFF_RATE, "response efficiency"),
    (_JUDGED["judge_relevance"], "response efficiency"),
    (_JUDGED["judge_completeness"], "task performance"),
    (_JUDGED["judge_accuracy"], "technical correctness"),
    (_JUDGED["judge_clarity"], "task performance"),
    (_JUDGED["judge_helpfulness"], "task performance"),
    (_JUDGED["judge_mean"], "task performance"),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric, _ in _LINES}
DIMENSIONS: Mapping[str, Dimension] = {metric.name: dimension for metric, dimension in _LINES}

# What the sources call a metric, and what it is here (SPEC 4: the sources' own configuration).
ALIASES: Mapping[str, tuple[str, ...]] = {"custom_code_quality": ("code_syntax", "code_lint", "code_complexity")}

ALWAYS = ("exact_match", "rouge_l", "token_accuracy", "perplexity", "tokens_per_answer", "seconds_per_answer")
CODE_TASKS = frozenset({"code", "code_generation", "code_completion", "debugging", "refactoring"})
JSON_TASKS = frozenset({"extraction", "json", "structured_output"})
_BY_TASK: Sequence[tuple[frozenset[str], tuple[str, ...]]] = (
    (CLOSED_TASKS, ("accuracy",)),
    (frozenset({CLASSIFICATION}), ("macro_f1",)),
    (CODE_TASKS, ("code_passes", "code_syntax", "code_lint", "code_complexity")),
    (TOOL_TASKS, ("tool_selection", "tool_arguments")),
    (JSON_TASKS, ("json_valid", "json_matches_schema")),
)


def default_metrics(task_types: Iterable[str]) -> list[str]:
    """The names of the metrics that tasks bring with them, in the order of METRICS: ALWAYS, and what belongs to a task.
    Rows with tests, labels or a schema under another task want theirs named beside these."""
    tasks = set(task_types)
    wanted = {name for its_tasks, names in _BY_TASK if tasks & its_tasks for name in names} | {*ALWAYS}
    return [name for name in METRICS if name in wanted]


def metrics_named(names: Iterable[str], judge: Grades | None = None) -> list[Metric]:
    """The metrics of these names, each once, in their order; those of a judge ask `judge`.

    Raises:
        BadConfiguration: there is no metric of that name; the nearest ones are named.
    """
    table = {**METRICS, **judge_metrics(judge)} if judge else METRICS
    wanted = dict.fromkeys(known for name in names for known in ALIASES.get(name, (name,)))
    if unknown := [name for name in wanted if name not in table]:
        near = difflib.get_close_matches(unknown[0].lower().replace("-", "_"), table, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise BadConfiguration(
            f"There is no metric {unknown[0]!r}, so nothing would be measured by it. {hint}Known are "
            f"{', '.join(table)}."
        )
    return [table[name] for name in wanted]

"""One model, several named suites, some metrics: figures by suite, and their aggregate."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ft_assets.errors import BadInput
from ft_assets.evaluation.answers import Answers, answers_to
from ft_assets.evaluation.asking.backend import Backend, Setting
from ft_assets.evaluation.asking.model_to_ask import model_in_lake
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.evaluation.metric import Answered, Metric, Points
from ft_assets.evaluation.suites import Suite
from ft_assets.lake import Lake

MAX_NEW_TOKENS = 128


@dataclass(frozen=True)
class SuiteResult:
    """A suite answered and measured. `points` has, by metric, one entry per prediction in the predictions' order.

    `figures` holds None where a metric applies to no row, and everywhere when the suite is not evaluated.
    """

    suite: Suite
    answers: Answers
    points: Mapping[str, list[Points | None]]
    figures: Mapping[str, float | None]

    @property
    def not_evaluated(self) -> str | None:
        """Why nothing may be concluded from this suite, or None."""
        return self.answers.not_evaluated


@dataclass(frozen=True)
class Evaluation:
    """`aggregate` gives each metric over all suites it applies to, each suite counting alike: the mean, for perplexity
    the geometric mean. It is empty when a suite is not evaluated; `not_evaluated` says why, by suite."""

    model_id: str
    setting: Setting
    suites: Mapping[str, SuiteResult]
    aggregate: Mapping[str, float]

    @property
    def not_evaluated(self) -> dict[str, str]:
        """The suites from which nothing may be concluded, with the reasons."""
        return {name: reason for name, result in self.suites.items() if (reason := result.not_evaluated)}


def evaluate_model(
    model_id: str,
    evaluation_datasets: Sequence[Suite],
    metrics: Sequence[Metric],
    *,
    lake: Lake,
    backend: Backend | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    on_progress: Callable[[str, int, int], object] = lambda suite, done, of: None,
) -> Evaluation:
    """The model's answers to every suite, from the table `predictions` or asked now, and their metrics.

    `model_id` is the digest of an adapter or base model of the lake; a `backend` asks another model or in another way.
    An evaluation that was interrupted goes on where it stopped.

    Raises:
        BadInput: two suites or metrics share a name, the backend asks another model than `model_id`, or a row has no
            reference.
        MissingInput: the lake holds no such model.
    """
    _refuse_shared_names("suites", [suite.name for suite in evaluation_datasets])
    _refuse_shared_names("metrics", [metric.name for metric in metrics])
    if backend is None:
        backend = TransformersBackend(model_in_lake(lake, model_id), max_new_tokens)
    if backend.model_digest != model_id:
        raise BadInput(
            f"The backend asks the model {backend.model_digest[:12]}..., and {model_id[:12]}... is to be evaluated. "
            "Pass the backend's own model_digest."
        )
    results = {}
    for suite in evaluation_datasets:
        answers = answers_to(
            lake,
            backend,
            suite.items,
            suite.system_prompt,
            partial(on_progress, suite.name),
        )
        results[suite.name] = measured(suite, answers, metrics)
    return Evaluation(model_id, backend.setting, results, _aggregate(results, metrics))


def measured(suite: Suite, answers: Answers, metrics: Sequence[Metric]) -> SuiteResult:
    """The answers' points and figures; nothing is computed for a suite that is not evaluated."""
    if answers.not_evaluated:
        return SuiteResult(suite, answers, {}, dict.fromkeys(metric.name for metric in metrics))
    items = {item.row_id: item for item in suite.items}
    rows = [Answered(items[prediction.row_id], prediction) for prediction in answers.predictions]
    points = {metric.name: metric.points(rows) for metric in metrics}
    figures = {m.name: m.of_group(rows) if m.of_group else m.figure(points[m.name]) for m in metrics}
    return SuiteResult(suite, answers, points, figures)


def _aggregate(results: Mapping[str, SuiteResult], metrics: Sequence[Metric]) -> dict[str, float]:
    if any(result.not_evaluated for result in results.values()):
        return {}
    aggregate = {}
    for metric in metrics:
        figures = [figure for result in results.values() if (figure := result.figures[metric.name]) is not None]
        if figures and metric.unit == "perplexity":
            aggregate[metric.name] = math.exp(math.fsum(map(math.log, figures)) / len(figures))
        elif figures:
            aggregate[metric.name] = math.fsum(figures) / len(figures)
    return aggregate


def _refuse_shared_names(of: str, names: Sequence[str]) -> None:
    if shared := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"Several {of} have the name {shared[0]!r}, and one would hide the other. Rename one.")

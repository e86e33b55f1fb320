from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ft_assets.defs.conventions import SETTINGS
from ft_assets.errors import BadConfiguration, SandboxUnavailable
from ft_assets.lake import Lake
from ft_assets.rules_file import read_rules
from ft_assets.specializations.loader import Specialization

if TYPE_CHECKING:
    from ft_assets.evaluation.asking.backend import Backend
    from ft_assets.evaluation.judging.answer_judge import AnswerJudge
    from ft_assets.evaluation.judging.pairwise_judge import Preferences
    from ft_assets.evaluation.metric import Metric
    from ft_assets.evaluation.side_by_side import SideBySide, Sides
    from ft_assets.evaluation.suites import Suite


def sides_of(
    lake: Lake, spec: Specialization, models: Mapping[str, str], snapshot: str, suites: "Sequence[Suite]"
) -> "Sides":
    """Who answers for a line: each model on its own base, and the two sides that nobody trained."""
    from ft_assets.dataset.rows import read_side
    from ft_assets.evaluation.asking.model_to_ask import model_in_lake
    from ft_assets.evaluation.asking.nearest_prompts import NearestPrompts
    from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
    from ft_assets.evaluation.side_by_side import Sides

    held_out = [item for suite in suites for item in suite.items]
    learned = read_side(lake.artifact("snapshot", snapshot).path, "train")
    return Sides(
        models={side: partial(_backend, lake, spec, side, digest) for side, digest in models.items()},
        prompts=NearestPrompts(learned, snapshot, held_out),
        tokenizer=TransformersBackend(model_in_lake(lake, models["base"]), spec.evaluation.max_new_tokens),
        examples=spec.evaluation.retrieved_examples,
    )


def _backend(lake: Lake, spec: Specialization, side: str, digest: str) -> "Backend":
    """What answers for one side: this process, or the endpoint that the line names."""
    from ft_assets.evaluation.asking.endpoint_backend import EndpointBackend
    from ft_assets.evaluation.asking.endpoint_client import Endpoint
    from ft_assets.evaluation.asking.model_to_ask import base_of, model_in_lake
    from ft_assets.evaluation.asking.transformers_backend import TransformersBackend

    most, endpoint = spec.evaluation.max_new_tokens, spec.evaluation.endpoint
    if endpoint is None:
        return TransformersBackend(model_in_lake(lake, digest), most)
    if (served := endpoint.models.get(side)) is None:  # type: ignore[call-overload]
        raise BadConfiguration(
            f"evaluation.endpoint of {spec.name} serves {', '.join(endpoint.models)}, and nothing is named for the "
            f"{side} ({digest[:12]}). All sides have to be asked in one way: deploy it and name it under models."
        )
    base_of(lake, digest)  # the report has to say what answered: a model that the lake has lost is not asked either
    asked = Endpoint(endpoint.url, served, endpoint.api_key_variable, timeout_seconds=endpoint.timeout_seconds)
    return EndpointBackend(asked, most, digest)


class LineMetrics:
    """What a line's answers are measured by: what each suite's tasks and checks bring with them, what the gate asks
    for, and what the line names. `not_measured` are reasons why something could not be."""

    def __init__(self, lake: Lake, spec: Specialization, judged_suite: str):
        self.spec, self.judge, self.judged_suite = spec, answer_judge(lake), judged_suite
        self.not_measured: list[str] = []
        self.code_is_run = self._code_can_be_run()
        self.used: dict[str, Metric] = {}

    def of_suite(self, suite: "Suite") -> "list[Metric]":
        """The metrics of a suite; a judge grades only what decides, its questions cost money."""
        from ft_assets.evaluation.metrics import default_metrics, metrics_named

        rules, own = self.spec.gate, suite.kind in ("golden", "snapshot", "own")
        names = default_metrics({item.task_type for item in suite.items})
        names += [name for item in suite.items for name in _checks(item.expected)]
        names += [*rules.primaries, *rules.floors, *(rail.metric for rail in rules.guardrails)]
        names += self.spec.evaluation.metrics if own else ()
        judge = self.judge if suite.name == self.judged_suite else None
        metrics = metrics_named([*names, *(_criteria() if judge else ())], judge)
        if not self.code_is_run:
            metrics = [metric for metric in metrics if metric.name != "code_passes"]
        self.used |= {metric.name: metric for metric in metrics}
        return metrics

    @property
    def not_graded(self) -> list[str]:
        """Which answers the judge gave no grades to, and why."""
        if self.judge is None or not (why := {**(told := self.judge.report())["failed"], **told["not_submitted"]}):
            return []
        reasons = ", ".join(f"{name}: {count}" for name, count in why.items())
        least = 100 * self.judge.rules.min_coverage
        return [
            f"A judge graded {told['scored']} of {told['answers']} answers ({reasons}); the grades of a model count "
            f"where at least {least:g} % of its submitted answers have them."
        ]

    def _code_can_be_run(self) -> bool:
        from ft_assets.evaluation.sandbox import protections

        try:
            protections()
        except SandboxUnavailable as refusal:
            self.not_measured.append(f"Whether code in an answer works: {refusal}")
            return False
        return True


def _checks(expected: Any) -> list[str]:
    """The metrics that a row's own checks ask for."""
    asked = {
        "code_passes": expected.tests,
        "accuracy": expected.labels,
        "json_matches_schema": expected.json_schema,
    }
    return [name for name, check in asked.items() if check is not None]


def _criteria() -> list[str]:
    from ft_assets.evaluation.judging.judge_metrics import judge_metrics

    return list(judge_metrics(None))


def answer_judge(lake: Lake) -> "AnswerJudge | None":
    """The judge of answers; None where none is configured."""
    from ft_assets.evaluation.judging.answer_judge import AnswerJudge

    return _judging(AnswerJudge, lake)


def preferences_of(lake: Lake, answered: "SideBySide") -> "Preferences | None":
    """Whose answers a judge prefers, candidate's or incumbent's, asked in both orders; None without a judge."""
    from ft_assets.evaluation.judging.pairwise_judge import PairwiseJudge

    if (judge := _judging(PairwiseJudge, lake)) is None:
        return None
    suite = answered.judged
    incumbent = "champion" if "champion" in suite.predictions else "base"
    answers = [{row.row_id: row.answer for row in suite.predictions[side]} for side in ("candidate", incumbent)]
    found: Preferences = judge.compare(suite.items, *answers)
    return found


def _judging(make: Callable[..., Any], lake: Lake) -> Any:
    from ft_assets.curation.pii import masked_together
    from ft_assets.judge_client import Endpoint
    from ft_assets.judge_rules import JudgeRules

    if SETTINGS.judge_url is None or SETTINGS.judge_model is None:
        return None
    endpoint = Endpoint(SETTINGS.judge_url, SETTINGS.judge_model, SETTINGS.judge_api_key)
    return make(endpoint, read_rules(SETTINGS.rules, "judge", JudgeRules), SETTINGS.split_key, masked_together, lake)

"""Every side's answers to the suites it is asked, measured, and what they come to as evidence for the gate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.answers import Answers, answers_to
from ft_assets.evaluation.asking.backend import Backend, Setting, differing
from ft_assets.evaluation.asking.batch_disagreement import BatchDisagreement, batch_disagreement
from ft_assets.evaluation.asking.interleaved_seconds import interleaved_seconds
from ft_assets.evaluation.asking.nearest_answer import NearestAnswer
from ft_assets.evaluation.asking.nearest_prompts import NearestPrompts
from ft_assets.evaluation.asking.retrieved_examples import with_examples
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.evaluation.deciding.gate_evidence import Evidence, Pair, needed, new_part
from ft_assets.evaluation.deciding.gate_rules import GateRules
from ft_assets.evaluation.deciding.golden_budget import GoldenStatus
from ft_assets.evaluation.deciding.paired_points import PairedPoints, paired_points
from ft_assets.evaluation.metric import Metric
from ft_assets.evaluation.reporting.report_facts import AnsweredSuite
from ft_assets.evaluation.score import RowScore, score_rows
from ft_assets.evaluation.suites import Suite
from ft_assets.lake import Lake

CANDIDATE, CHAMPION, BASE = "candidate", "champion", "base"
PROMPTED, NEAREST = "base_with_examples", "nearest_answer"
SECONDS = "seconds_per_answer"
INTERFERENCE = ("rouge_l", "exact_match")  # what other lines' golden sets are told in
SAMPLE_ROWS = 16  # asked once more, for time and for the effect of batches
Progress = Callable[[str, int, int], object]


@dataclass
class Sides:
    """Who answers. `models` gives, by side, how to make its backend: one is loaded after the other, not all at once.

    `prompts` are the training prompts for the two sides that nobody trained; `tokenizer` is the base's.
    """

    models: Mapping[str, Callable[[], Backend]]
    prompts: NearestPrompts
    tokenizer: TransformersBackend
    examples: int


@dataclass
class SideBySide:
    """What every side answered: `suites` in the order they were asked, the judged one first; `latency` is seconds per
    answer by row id of candidate and champion, asked in turns. `problems` forbid a verdict, `not_measured` does not."""

    suites: list[AnsweredSuite] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)
    latency: dict[str, dict[str, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)

    @property
    def judged(self) -> AnsweredSuite:
        """The suite that the verdict rests on."""
        return self.suites[0]


def side_by_side(
    lake: Lake,
    suites: Sequence[Suite],
    sides: Sides,
    metrics_of: Callable[[Suite], Sequence[Metric]],
    on_progress: Progress,
) -> SideBySide:
    """Every side asked: the models all suites, the base with examples the first one, the nearest training answer every
    suite of this line. What is in the table `predictions` is not asked again."""
    result = SideBySide()
    answers: dict[str, dict[str, Answers]] = {suite.name: {} for suite in suites}
    changed: dict[str, BatchDisagreement] = {}
    for side, make in sides.models.items():
        backend = make()
        result.settings[side] = backend.setting
        for suite in suites:
            answers[suite.name][side] = _asked(lake, backend, suite, f"{suite.name}: {side}", on_progress)
        if side == CANDIDATE:
            found = answers[suites[0].name][side].predictions
            again = (suites[0].items, suites[0].system_prompt, found, SAMPLE_ROWS)
            changed[side] = batch_disagreement(backend, *again)
        if side == BASE and sides.examples:
            longer = with_examples(suites[0], sides.prompts, sides.tokenizer.fits, sides.examples)
            name = f"{longer.name}: {PROMPTED}"
            answers[suites[0].name][PROMPTED] = _asked(lake, backend, longer, name, on_progress)
    nearest = NearestAnswer(sides.prompts, sides.tokenizer.count_tokens)
    for suite in (suite for suite in suites if suite.kind in ("golden", "snapshot", "own")):
        answers[suite.name][NEAREST] = _asked(lake, nearest, suite, f"{suite.name}: {NEAREST}", on_progress)
    result.suites = [
        _measured(suite, answers[suite.name], metrics_of(suite), changed if suite is suites[0] else {})
        for suite in suites
    ]
    result.problems = _not_comparable(result.settings)
    if CHAMPION in sides.models:
        both = {side: sides.models[side]() for side in (CANDIDATE, CHAMPION)}
        try:
            result.latency = interleaved_seconds(both, suites[0].items, suites[0].system_prompt, SAMPLE_ROWS)
        except EvaluationIncomplete as reason:
            result.not_measured.append(f"How long both take to answer: {reason}")
    if sides.prompts.left_out:
        left_out = f"{len(sides.prompts.left_out)} training rows repeat a question (first: {sides.prompts.left_out[0]})"
        result.not_measured.append(f"{left_out}; nearest_answer and base_with_examples were not given them.")
    return result


def evidence_of(
    result: SideBySide,
    rules: GateRules,
    golden: GoldenStatus | None = None,
    not_blocking: Mapping[str, str] | None = None,
) -> Evidence:
    """The comparisons of the candidate with the other sides in every metric that the rules name. `golden` is what its
    budget says; once the set was renewed, the questions that are new are a suite of their own, too. Time is compared
    with the champion alone, as it was measured in turns: what kept answers once took says nothing about today. Sides
    that cannot be compared in a metric are a problem where the rules need that, and are left out elsewhere."""
    rails = [rail.metric for rail in rules.guardrails]
    named = [name for name in (*rules.primaries, *rules.floors, *rails, *INTERFERENCE) if name != SECONDS]
    made: dict[Pair, PairedPoints | str] = {}
    for suite in result.suites:
        is_renewed = golden is not None and golden.renewals > 0 and suite is result.judged
        for side in (side for side in suite.scores if side != CANDIDATE):
            ours, theirs = suite.scores[CANDIDATE], suite.scores[side]
            made |= _pairs(suite.name, ours, theirs, side, named)
            if golden is not None and is_renewed:
                ours, theirs = (_only(rows, golden.new_rows) for rows in (ours, theirs))
                made |= _pairs(new_part(suite.name), ours, theirs, side, named)
    judged = result.judged
    if timed := _time_in_turns(result):
        made[Pair(judged.name, SECONDS, CHAMPION)] = timed
    evidence = Evidence(
        suite=judged.name,
        incumbent="champion" if CHAMPION in judged.scores else "base",
        pairs={pair: points for pair, points in made.items() if not isinstance(points, str)},
        coverage={suite.name: _coverage(suite) for suite in result.suites},
        problems=tuple(result.problems),
        not_blocking=not_blocking or {},
        interference={suite.name: _metric_of(suite) for suite in result.suites if suite.kind == "interference"},
        golden=golden,
    )
    refused = [found for pair in dict.fromkeys(needed(evidence, rules)) if isinstance(found := made.get(pair), str)]
    return replace(evidence, problems=(*evidence.problems, *refused))


def _asked(lake: Lake, backend: Backend, suite: Suite, name: str, on_progress: Progress) -> Answers:
    return answers_to(lake, backend, suite.items, suite.system_prompt, partial(on_progress, name))


def _measured(
    suite: Suite, answers: Mapping[str, Answers], metrics: Sequence[Metric], changed: Mapping[str, BatchDisagreement]
) -> AnsweredSuite:
    return AnsweredSuite(
        suite=suite,
        predictions={side: found.predictions for side, found in answers.items()},
        scores={
            side: score_rows(suite.items, found.predictions, metrics, least_coverage=0.0)
            for side, found in answers.items()
        },
        missing={side: found.missing for side, found in answers.items() if found.missing},
        of=suite.name.removeprefix("golden set of ") if suite.kind == "interference" else None,
        batch_disagreement=changed,
    )


def _pairs(
    suite: str, candidate: Sequence[RowScore], other: Sequence[RowScore], side: str, metrics: Sequence[str]
) -> dict[Pair, PairedPoints | str]:
    """By metric the points of both sides, or why they cannot be compared."""
    found: dict[Pair, PairedPoints | str] = {}
    for name in dict.fromkeys(metrics):
        try:
            found[Pair(suite, name, side)] = paired_points(candidate, other, name)
        except EvaluationIncomplete as reason:
            found[Pair(suite, name, side)] = f"{suite}, candidate and {side}: {reason}"
    return found


def _time_in_turns(result: SideBySide) -> PairedPoints | None:
    """The seconds of candidate and champion on the rows that both were asked in turns."""
    if CHAMPION not in result.latency:
        return None
    ours, theirs = result.latency[CANDIDATE], result.latency[CHAMPION]
    items = [item for item in result.judged.items if item.row_id in ours]
    return PairedPoints(
        clusters=[item.cluster_id for item in items],
        candidate=[ours[item.row_id] for item in items],
        other=[theirs[item.row_id] for item in items],
        possible=[1.0] * len(items),
    )


def _only(rows: Sequence[RowScore], wanted: frozenset[str]) -> list[RowScore]:
    return [row for row in rows if row.row_id in wanted]


def _coverage(suite: AnsweredSuite) -> float:
    """The least share of the items that a model answered; the sides that nobody trained do not decide."""
    models = [side for side in suite.predictions if side in (CANDIDATE, CHAMPION, BASE)]
    return min(len(suite.predictions[side]) for side in models) / len(suite.items)


def _metric_of(suite: AnsweredSuite) -> str:
    """The metric in which another line's golden set is told: the first that every row has."""
    rows = suite.scores[CANDIDATE]
    return next((name for name in INTERFERENCE if all(name in row.points for row in rows)), INTERFERENCE[-1])


def _not_comparable(settings: Mapping[str, Setting]) -> list[str]:
    """Hardware or software is never compared with other hardware or software."""
    found = []
    for side, setting in settings.items():
        if side != CANDIDATE and (names := differing(settings[CANDIDATE], setting)):
            found.append(
                f"{CANDIDATE} and {side} were asked in different ways ({', '.join(names)}), so their difference would "
                "be one of machines. Evaluate both on one machine, in one way."
            )
    return found

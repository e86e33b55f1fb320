"""A made-up evaluation of one line, scored by the real metrics and judged by the real gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ft_assets.evaluation.asking.batch_disagreement import BatchDisagreement
from ft_assets.evaluation.deciding.gate_evidence import Evidence, Pair
from ft_assets.evaluation.deciding.gate_rules import GateRules
from ft_assets.evaluation.deciding.paired_points import paired_points
from ft_assets.evaluation.gate import decide
from ft_assets.evaluation.judging.pairwise_judge import PairVerdict, Preferences
from ft_assets.evaluation.judging.position_bias import mean_share
from ft_assets.evaluation.measures.likelihood_metrics import PERPLEXITY, TOKEN_ACCURACY
from ft_assets.evaluation.measures.text_metrics import EXACT_MATCH, ROUGE_L, TOKENS_PER_ANSWER
from ft_assets.evaluation.prediction import Prediction
from ft_assets.evaluation.reporting.report_facts import AnsweredSuite, ReportFacts, Spent
from ft_assets.evaluation.score import score_rows
from ft_assets.evaluation.suites import Kind, Suite, suite_of
from ft_assets_tests.evaluation.samples import item, prediction

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
METRICS = [EXACT_MATCH, ROUGE_L, TOKEN_ACCURACY, PERPLEXITY, TOKENS_PER_ANSWER]
RULES = GateRules(primary_metric="exact_match", guardrails=())
SHARES = {"candidate": 0.9, "champion": 0.6, "base": 0.1}


def answers_of(side: str, share_right: float, seed: int, count: int) -> list[Prediction]:
    """Answers of which about this share is right; a wrong one keeps half of the words."""
    right = np.random.default_rng(seed).random(count) < share_right
    return [
        prediction(
            f"r{i:03d}",
            " ".join(WORDS if right[i] else WORDS[:5]),
            model_digest=f"{side}-digest",
            answer_nll=2.0 - right[i],
            n_tokens=10 if right[i] else 9,
        )
        for i in range(count)
    ]


def a_suite(
    count: int = 60,
    shares: Mapping[str, float] = SHARES,
    name: str = "golden set",
    kind: Kind = "golden",
    of: str | None = None,
    cluster_size: int = 1,
) -> AnsweredSuite:
    """A suite that every side of `shares` answered, right with that share."""
    items = [
        item(
            f"r{i:03d}",
            f"Question {i}",
            " ".join(WORDS),
            cluster_id=f"c{i // cluster_size:03d}",
            task_type=f"task {i % 2}",
            role=("qa-engineer", "developer")[i % 3 // 2],
            reasoning_mode=("direct", "chain_of_thought")[i % 5 // 3],
            difficulty=("easy", "hard")[i % 20 == 7],
        )
        for i in range(count)
    ]
    answers = {side: answers_of(side, share, place, count) for place, (side, share) in enumerate(shares.items(), 1)}
    return scored(suite_of(name, kind, items, None), answers, of=of)


def scored(suite: Suite, answers: Mapping[str, Sequence[Prediction]], **fields: Any) -> AnsweredSuite:
    """The suite with every side scored by the real metrics."""
    scores = {side: score_rows(suite.items, rows, METRICS, 0) for side, rows in answers.items()}
    return AnsweredSuite(suite, answers, scores, **fields)


def facts_of(judged: AnsweredSuite, *others: AnsweredSuite, rules: GateRules = RULES, **fields: Any) -> ReportFacts:
    """Facts with the verdict of the real gate on the judged suite."""
    incumbent = "champion" if "champion" in judged.scores else "base"
    pairs = {
        Pair(suite.name, metric.name, side): paired_points(suite.scores["candidate"], suite.scores[side], metric.name)
        for suite in (judged, *others)
        for side in suite.sides[1:]
        for metric in METRICS
    }
    asked = {suite.name: len(suite.items) for suite in (judged, *others)}
    coverage = {
        suite.name: min(len(suite.scores[side]) for side in suite.sides) / asked[suite.name]
        for suite in (judged, *others)
    }
    verdict = decide(Evidence(judged.name, incumbent, pairs, coverage), rules)
    models = {
        side: f"{side}-digest-of-sixty-four" for side in ("candidate", "champion", "base") if side in judged.scores
    }
    known: dict[str, Any] = {
        "specialization": "qa-engineer",
        "description": "Writes test cases and triages bugs.",
        "models": models,
        "bases": dict.fromkeys(models, models["base"]),
        "snapshot": "snapshot-digest",
        "snapshot_sizes": {"train": 900, "validation": 100, "eval": 120},
        "recipe_digest": "recipe-digest",
        "rules": rules,
        "verdict": verdict,
        "judged_suite": judged.name,
        "suites": [judged, *others],
        "metrics": METRICS,
        "settings": {"dtype": "float32", "device": "cpu", "max_new_tokens": 64},
    }
    return ReportFacts(**{**known, **fields})


def preferences_of(count: int) -> Preferences:
    """What a judge preferred that likes the first position a little."""
    verdicts = [PairVerdict(f"r{i:03d}", f"c{i:03d}", float(i % 3 > 0), float(i % 4 == 0), True) for i in range(count)]
    shares = (
        mean_share([(v.cluster_id, (v.candidate_first or 0) - (v.incumbent_first or 0)) for v in verdicts]),
        mean_share([(v.cluster_id, v.toward_first or 0.0) for v in verdicts]),
    )
    return Preferences(verdicts, *shares, {"judge_model": "a-judge", "pairs": count, "cached": 3})


def full_facts() -> ReportFacts:
    """Facts in which every section of a report has something to tell."""
    from dataclasses import replace

    five = SHARES | {"base_with_examples": 0.4, "nearest_answer": 0.3}
    judged = replace(a_suite(shares=five), batch_disagreement={"candidate": BatchDisagreement(32, ("r001",), 0.001)})
    others = [
        a_suite(50, {"candidate": 0.6, "champion": 0.8, "base": 0.8}, "general ability", "general"),
        a_suite(50, {"candidate": 0.2, "champion": 0.7, "base": 0.8}, "golden set of devops", "interference", "devops"),
    ]
    return facts_of(
        judged,
        *others,
        latency={"candidate": {"r001": 0.4, "r002": 0.6}, "champion": {"r001": 0.5, "r002": 0.5}},
        spent=[Spent("training", 1830.0, 1830.0, 1_430_000, 1.27), Spent("answers of the candidate", 41.0)],
        contamination={"leaks": 0, "planted copies found": {"near copy": "19 of 20"}},
        preferences={"preference margin": 1.5},
        judge=preferences_of(60),
        sandbox=["no network"],
        other_lines={"devops": {"qa-engineer": -0.08}},
        golden_budget=20,
        not_measured=["Answers in other languages: no suite asks them."],
    )

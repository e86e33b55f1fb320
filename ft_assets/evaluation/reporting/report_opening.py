"""The first screen of a report, for a person who does not know the system: what was tested, what came out, what now."""

import re
from collections.abc import Mapping
from typing import Any

from ft_assets.evaluation.gate import THIS_ARTIFACT
from ft_assets.evaluation.reporting.report_numbers import (
    change_text,
    metric_title,
    side_title,
    size_text,
    unit_of,
    value_text,
)
from ft_assets.evaluation.reporting.report_page import Opening, Scale

HEADLINES = {
    "promote": "The new model is better, and may replace what is in use.",
    "hold": "Not proved. The new model stays a candidate, and what is in use stays in use.",
    "reject": "The new model is not good enough, and is not used.",
    "not evaluated": "There is no result. The evaluation did not finish, so nothing may be concluded from it.",
}
MEANINGS = {
    "promote": "Every condition that was set beforehand is met. The difference is larger than chance explains.",
    "hold": "This does not say that the new model is worse. It says that these questions could not show it to be "
    "better with the certainty that a promotion asks for.",
    "reject": "The evidence shows that the new model misses at least one condition. More questions would hardly change "
    "that.",
    "not evaluated": "A missing answer is not a wrong answer. Scores over a part of the questions would compare models "
    "on different things.",
}
BETTER_BUT_OPEN = (
    "The new model is better by the measure that decides. Something else that has to hold could not be shown yet, so "
    "it is not promoted; that does not say that it fails there."
)
NEXT = {
    "promote": "Nothing has to be done: the model registry takes it into use, unless another model was taken into use "
    "in the meantime. If you have two minutes, read the most worsened answers below before that.",
    "reject": "Read the most worsened answers and the groups that became worse below, then mend the data or the recipe "
    "and train again.",
    "not evaluated": "Look at what is missing below, then materialize evaluation_report again. Answers that are there "
    "are kept, only the missing ones are generated.",
}
PLAIN = {
    "rouge_l": "how much of the expected answer's wording the answer has, in the same order",
    "exact_match": "the share of answers that are equal to the expected one",
    "accuracy": "the share of right answers among questions with a closed answer",
    "macro_f1": "how well each class is recognised, rare ones counting as much as frequent ones",
    "token_accuracy": "the share of the expected answer's pieces that the model would have written itself",
    "code_passes": "the share of answers whose code runs and passes its tests",
    "json_valid": "the share of answers that a program can read as JSON",
    "json_matches_schema": "the share of answers that are JSON of the asked form",
    "tool_selection": "the share of answers that call the right tool",
    "tool_arguments": "the share of answers that call the tool with the right arguments",
    "judge_mean": "the mean grade that a judge model gave",
}
OWNERS = {"champion": "the model in use", "base": "the base model, before any training here"}


def opening_of(report: Mapping[str, Any]) -> Opening:
    """The first screen."""
    outcome, deciding = report["verdict"]["outcome"], deciding_condition(report)
    is_better = deciding is not None and deciding["holds"] is True
    answers = [
        ("What was tested", _tested(report)),
        ("Against what", _against(report)),
        ("On what", _questions(report)),
        ("Result", _result(report, deciding)),
        ("What it means", BETTER_BUT_OPEN if is_better and outcome == "hold" else MEANINGS[outcome]),
        ("Why", " ".join(_sentence(in_plain_words(report, reason)) for reason in _reasons(report))),
        ("What to do next", NEXT.get(outcome) or _next_of_hold(report)),
        ("What could have been missed", _visible(report, deciding)),
        ("How far this reaches", _reach(report)),
    ]
    headline = HEADLINES[outcome]
    scale = None if deciding is None or outcome == "not evaluated" else _scale(report, deciding)
    return Opening(report["specialization"], outcome, headline, [pair for pair in answers if pair[1]], scale)


def deciding_condition(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The condition that says that the candidate is superior to the incumbent, where it could be looked at."""
    superior = [c for c in report["verdict"]["conditions"] if c["kind"] == "superior" and c["estimate"] is not None]
    order = sorted(superior, key=lambda c: (c["against"] != report["incumbent"], not c["blocks"]))
    return next(iter(order), None)


def metric_in_words(report: Mapping[str, Any], name: str) -> str:
    """What a metric measures, for a reader who never heard its name."""
    told = PLAIN.get(name) or report["metrics"].get(name, {}).get("description", "").partition(". ")[0]
    return " ".join(str(told).split()).rstrip(".:") or metric_title(name)


def in_plain_words(report: Mapping[str, Any], sentence: str) -> str:
    """A sentence of the gate with the names that people read: model in use for champion, ROUGE-L for rouge_l."""
    sides = {"candidate": "new model", "champion": "model in use"}
    names = {name: metric_title(name) for name in report["metrics"]} | sides
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"\b(?:{pattern})\b", lambda match: names[match[0]], sentence)


def _reasons(report: Mapping[str, Any]) -> list[str]:
    """The gate's reasons, without what is told under how far this reaches."""
    return [reason for reason in report["verdict"]["reasons"] if reason != THIS_ARTIFACT]


def _tested(report: Mapping[str, Any]) -> str:
    about = report["description"].strip().rstrip(".")
    return (
        f"A language model for the role {report['specialization']} ({about}), "
        f"trained on this project's own examples. Its fingerprint is {report['models']['candidate'][:12]}."
    )


def _against(report: Mapping[str, Any]) -> str:
    side = report["incumbent"]
    name = f"{OWNERS.get(side, side_title(side))} (fingerprint {report['models'][side][:12]})"
    if side == "champion":
        return f"{name[0].upper()}{name[1:]}. Both answered the same questions under the same settings."
    if report.get("candidate_is_champion"):
        return f"This model is the one in use, so against {name}. Both answered the same questions."
    return f"No model of this line is in use yet, so against {name}. Both answered the same questions."


def _questions(report: Mapping[str, Any]) -> str:
    suite = report["suites"][report["judged_suite"]]
    independent = (
        "all of them independent of each other"
        if suite["items"] == suite["clusters"]
        else f"which count as {suite['clusters']} independent ones, because some are variants of the same question"
    )
    kept = "kept apart to judge models" if suite["kind"] == "golden" else "kept out of training"
    asked = f"{suite['items']} questions that the model never saw"
    return f"{asked}, {kept} ({report['judged_suite']}), {independent}."


def _result(report: Mapping[str, Any], deciding: Mapping[str, Any] | None) -> str:
    if deciding is None or report["verdict"]["outcome"] == "not evaluated":
        return "None."
    name, against = deciding["metric"], deciding["against"]
    figures = report["suites"].get(deciding["suite"], {}).get("figures", {}).get(name, {})
    scores = [figures.get(side, {}).get("figure") for side in ("candidate", against)]
    rowwise = " row by row" if report["metrics"].get(name, {}).get("of_group") else ""
    owner = OWNERS.get(against, side_title(str(against))).partition(",")[0]
    told = f"Measured by {metric_in_words(report, name)} ({metric_title(name)}): "
    unit, own_unit = unit_of(report, deciding), unit_of(report, {"metric": name})
    told += f"the new model {value_text(scores[0], own_unit)}, {owner} {value_text(scores[1], own_unit)}, "
    told += f"a difference{rowwise} of {change_text(deciding['estimate'], unit)}. "
    low, high = deciding["low"], deciding["high"]
    if low is None or high is None:
        return told
    certainty = _certainty(deciding["level"])
    bounds = " and ".join(change_text(bound, unit) for bound in (low, high))
    return f"{told}The true difference lies between {bounds}{certainty}."


def _certainty(level: float | None) -> str:
    """Two one-sided bounds at 97.5 % are one interval of 95 %."""
    return "" if level is None else f" ({100 * (1 - 2 * min(level, 1 - level)):.0f} % certain)"


def _next_of_hold(report: Mapping[str, Any]) -> str:
    needed = [c["more_clusters"] for c in report["verdict"]["conditions"] if c["blocks"] and c["more_clusters"]]
    if not needed:
        return "Collect more independent questions for the golden set, or train on better data, and evaluate again."
    return (
        f"About {max(needed)} more independent questions would decide, if the difference is really as large as it "
        "looks now. Add them to the golden set, or train on more or better data, and evaluate again."
    )


def _visible(report: Mapping[str, Any], deciding: Mapping[str, Any] | None) -> str:
    seen = None if deciding is None else deciding["smallest_visible"]
    if deciding is None or seen is None:
        return "Unknown: the answers differ too little, or too few were given, to compute what would have been seen."
    size = size_text(seen, unit_of(report, deciding))
    return (
        f"A true difference of {size} would have been found four times in five with these questions. A smaller one "
        "can stay unseen."
    )


def _reach(report: Mapping[str, Any]) -> str:
    told = (
        "The verdict is about this one model file, not about its data or its recipe: trained again with another random "
        "seed, the same recipe gives another model, which moves the result."
    )
    decision, rate = report["verdict"]["decision"], report["verdict"]["cumulative_false_promotion_rate"]
    if decision is None:
        return told
    budget = f" of {report['golden_budget']}" if report["golden_budget"] else ""
    told += f" It is decision {decision}{budget} on this golden set"
    return told + (
        "; had every model so far only been as good, the chance of a wrong promotion among them would be "
        f"{100 * rate:.1f} %."
        if rate is not None
        else "."
    )


def _scale(report: Mapping[str, Any], deciding: Mapping[str, Any]) -> Scale | None:
    estimate, low, high = deciding["estimate"], deciding["low"], deciding["high"]
    if low is None or high is None:
        return None
    limit = deciding["limit"] or 0.0
    in_points = unit_of(report, deciding) == "rate"
    factor = 100.0 if in_points else 1.0
    label = f"{metric_title(deciding['metric'])}, new model minus {side_title(str(deciding['against']))}"
    label += " (percentage points)" if in_points else ""
    return Scale(estimate * factor, low * factor, high * factor, limit * factor, label, in_points)


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."

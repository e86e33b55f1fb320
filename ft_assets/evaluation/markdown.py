"""report.md: the verdict in plain words first, then the evidence. Text of people and models cannot break the page."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HEADLINES = {
    "promote": "The new model is better, and may replace what is in use.",
    "hold": "Not proved. The new model stays a candidate; what is in use stays.",
    "reject": "The new model is not good enough, and is not used.",
}
METRICS = {"rouge_l": "ROUGE-L", "exact_match": "exact match", "token_accuracy": "token accuracy"}
GLOSSARY = (
    "*ROUGE-L*: how much of the reference's words the answer has in the same order, 0 to 1. "
    "*Exact match*: share of answers equal to the reference, whitespace aside. "
    "*Token accuracy*: share of the reference's tokens that the model would have chosen. "
    "*Perplexity*: how surprised the model is by the reference; 1 is not at all. "
    "*Interval*: 95 %, paired bootstrap over clusters of related rows. "
    "*Could have seen*: the smallest true difference that a set of this size shows four times in five."
)
# Signs with a meaning anywhere, underscores at a word's edge, list and heading marks at the start, what makes a link.
SPECIAL = re.compile(r"[\\`*\[\]|<>~&$@]|(?<![^\W_])_|_(?![^\W_])|^[-+=#]|^\d(?=\d*[.)])|:(?=//)|(?<=www)\.", re.I)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
LONGEST_TEXT = 1_500


def render(report: Mapping[str, Any]) -> str:
    """The page for a report as `report.describe` gives it."""
    suites = report["suites"]
    order = sorted(suites, key=lambda name: (name != report["judged_suite"], name))
    blocks = [
        *_opening(report),
        *(block for name in order for block in _suite(name, suites[name], report)),
        *_preferences(report),
        *_examples(report),
        "## What this report cannot say",
        _bullets(inline(gap) for gap in report["not_measured"]),
        "## Where it comes from",
        _bullets(_origins(report)),
        GLOSSARY,
    ]
    return "\n\n".join(blocks) + "\n"


def _preferences(report: Mapping[str, Any]) -> list[str]:
    """What the preference stage of the candidate's training reached on the validation side, where it had one."""
    found = report.get("preferences")
    if not found:
        return []
    figures = _bullets(f"{inline(name)}: {value:.3f}" for name, value in found.items())
    return ["## Preferences", "Of the checkpoint that was kept, on the validation side:", figures]


def inline(text: object) -> str:
    """The text as one line that Markdown and HTML show literally, also inside a table cell."""
    flat = " ".join(CONTROL.sub("\ufffd", str(text)).split())
    return SPECIAL.sub(lambda match: f"&#{ord(match[0])};", flat)


def fenced(text: str) -> str:
    """The text as a code block, its fence longer than any run of backticks inside; a long text is cut, and says so."""
    shown = CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))
    if len(shown) > LONGEST_TEXT:
        shown = f"{shown[:LONGEST_TEXT]}\n... ({len(text) - LONGEST_TEXT} characters more)"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def _opening(report: Mapping[str, Any]) -> list[str]:
    verdict, metric = report["verdict"], report["rules"]["primary_metric"]
    summaries = report["suites"][report["judged_suite"]]["summaries"]
    sentences = [
        f"Measured on {summaries['candidate']['rows']} questions that training never saw "
        f"({summaries['candidate']['clusters']} independent clusters, suite {inline(report['judged_suite'])})."
    ]
    for c in verdict["comparisons"]:
        other = summaries[c["against"]][metric]
        sentences.append(
            f"{METRICS[metric]} is {summaries['candidate'][metric]:.3f}; {_owner(c['against'])} has {other:.3f}: "
            f"a difference of {_difference(c)}. {_visible(c)}"
        )
    return [
        f"# {inline(report['specialization'])}: {verdict['outcome']}",
        f"**{HEADLINES[verdict['outcome']]}**",
        " ".join(sentences),
        "Why:\n\n" + _bullets(inline(reason) for reason in verdict["reasons"]),
        "Pictures beside this page: [metrics](metrics.png), [differences](differences.png).",
    ]


def _suite(name: str, suite: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    judged = " (the verdict is about this one)" if name == report["judged_suite"] else ""
    metric = report["rules"]["primary_metric"]
    return [
        f"## Suite {inline(name)}{judged}",
        _metrics_table(suite),
        f"### By task, {METRICS[metric]}",
        _groups_table("task", suite["by_task"], metric),
        f"### By slice, {METRICS[metric]}",
        _groups_table("slice", suite["by_slice"], metric),
    ]


def _metrics_table(suite: Mapping[str, Any]) -> str:
    sides = [side for side in ("base", "champion", "candidate") if side in suite["summaries"]]
    others = sides[:-1]
    head = ["metric", *sides, *(f"candidate against {side} (95 %)" for side in others), "could have seen"]
    rows = []
    for metric, title in METRICS.items():
        compared = {c["against"]: c for c in suite["comparisons"] if c["metric"] == metric}
        values = [f"{suite['summaries'][side][metric]:.3f}" for side in sides]
        seen = ", ".join(_number(compared[side]["smallest_visible"]) for side in others)
        rows.append([title, *values, *(_difference(compared[side]) for side in others), seen])
    ratios = suite["perplexity_ratios"]
    values = [f"{suite['summaries'][side]['perplexity']:.4g}" for side in sides]
    seen = ", ".join(f"x {_number(ratios[side]['smallest_visible'])}" for side in others)
    rows.append(["perplexity (lower is better)", *values, *(_factor(ratios[side]) for side in others), seen])
    for key, title in (("tokens_per_answer", "tokens per answer"), ("seconds_per_answer", "seconds per answer")):
        values = [f"{suite['summaries'][side][key]:.3g}" for side in sides]
        rows.append([title, *values, *("" for _ in others), ""])
    return _table(head, rows)


def _groups_table(what: str, groups: Mapping[str, Any], metric: str) -> str:
    sides = [s for s in ("base", "champion", "candidate") if all(s in group["summaries"] for group in groups.values())]
    head = [what, "rows", "clusters", *sides, *(f"against {side}" for side in sides[:-1])]
    rows = []
    for name, group in groups.items():
        counts = group["summaries"]["candidate"]
        values = [f"{group['summaries'][side][metric]:.3f}" for side in sides]
        differences = {c["against"]: _difference(c) for c in group["comparisons"]}
        rows.append(
            [inline(name), str(counts["rows"]), str(counts["clusters"]), *values, *(differences[s] for s in sides[:-1])]
        )
    return _table(head, rows)


def _examples(report: Mapping[str, Any]) -> list[str]:
    blocks = ["## Answers side by side"]
    for direction, title in (("improved", "Most improved"), ("worsened", "Most worsened")):
        shown = report["examples"][direction]
        blocks.append(f"### {title}")
        if not shown:
            blocks.append(f"No answer {direction}.")
        for example in shown:
            other = "champion" if "champion" in example else "base"
            blocks.append(f"**{inline(example['task_type'])}**, {inline(example['row_id'])}: {example['change']:+.3f}")
            for part in ("prompt", "reference", other, "candidate"):
                blocks += [f"{part}:", fenced(example[part])]
    return blocks


def _origins(report: Mapping[str, Any]) -> list[str]:
    origins = {**report["models"], "snapshot": report["snapshot"], "recipe": report["recipe_digest"]}
    suites = {f"suite {name}": suite["digest"] for name, suite in report["suites"].items()}
    return [f"{inline(key)}: {inline(value)}" for key, value in {**origins, **suites, **report["decoding"]}.items()]


def _owner(side: str) -> str:
    return "the base model" if side == "base" else "the model in use"


def _difference(c: Mapping[str, Any]) -> str:
    return f"{c['difference']:+.3f} [{c['low']:.3f}, {c['high']:.3f}]"


def _factor(interval: Mapping[str, Any]) -> str:
    return f"x {interval['estimate']:.3g} [{interval['low']:.3g}, {interval['high']:.3g}]"


def _number(value: float | None) -> str:
    return "no spread" if value is None else f"{value:.3f}"


def _visible(c: Mapping[str, Any]) -> str:
    seen = c["smallest_visible"]
    return "" if seen is None else f"(A true difference of {seen:.3f} would have been seen.)"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

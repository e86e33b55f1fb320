"""What stands under the first screen of a report: conditions, suites, pictures, slices, and then the evidence."""

from collections.abc import Mapping
from typing import Any

from ft_assets.evaluation.reporting.report_evidence import evidence_sections
from ft_assets.evaluation.reporting.report_figures import FEW_CLUSTERS
from ft_assets.evaluation.reporting.report_numbers import (
    NOTHING,
    difference_text,
    figure_text,
    metric_title,
    side_title,
    size_text,
    unit_of,
)
from ft_assets.evaluation.reporting.report_opening import in_plain_words
from ft_assets.evaluation.reporting.report_page import Block, Lines, Picture, Section, Table, Words

HOLDS = {True: ("yes", "better"), False: ("no", "worse"), None: ("open", "")}
KINDS = {
    "golden": "the frozen golden set of this line",
    "snapshot": "the eval side of the snapshot that the model learned from",
    "general": "questions of general ability, to see what training made it forget",
    "interference": "the golden set of another specialization",
    "own": "a file of one's own",
}
BASELINES = {
    "base": "base model: the model before any training here.",
    "base_with_examples": "base with examples: the base model, untrained, with similar training examples put into its "
    "prompt. If the new model does not beat it, prompting is as good as training, and cheaper to change.",
    "nearest_answer": "nearest answer: no model at all, the training answer to the most similar training question. A "
    "high score means that questions and answers follow templates that training has seen (template leakage), so that "
    "this suite says little about new questions.",
}


def sections_of(report: Mapping[str, Any]) -> list[Section]:
    """All sections, in the order of reading."""
    suites = report["suites"]
    order = sorted(suites, key=lambda name: (name != report["judged_suite"], suites[name]["kind"], name))
    return [
        _conditions(report),
        _suite(report, order[0]),
        Section("The differences in one picture", [Picture("forest.png", _FOREST)]),
        _baselines(report),
        _slices(report),
        _interference(report),
        *(_suite(report, name) for name in order[1:]),
        *evidence_sections(report),
    ]


_FOREST = (
    "Forest plot: each line is a difference between the new model and another with its 95 % interval; green is surely "
    "better, red surely worse, grey open."
)


def _conditions(report: Mapping[str, Any]) -> Section:
    conditions = report["verdict"]["conditions"]
    rows, marks = [], []
    for condition in conditions:
        holds, mark = HOLDS[condition["holds"]]
        seen = condition["smallest_visible"]
        rows.append(
            [
                condition["kind"] + ("" if condition["blocks"] else " (only reported)"),
                in_plain_words(report, condition["sentence"]),
                holds,
                size_text(seen, unit_of(report, condition)),
                condition["test"] or NOTHING,
            ]
        )
        marks.append(mark)
    told = (
        "A model is promoted when every blocking condition holds, each shown with its own certainty. It is rejected "
        "when a bound shows the opposite. Anything else stays open, and the verdict is hold. The column 'could have "
        "seen' is the smallest true difference that these questions would have shown four times in five."
    )
    table = Table(["condition", "what was seen", "holds", "could have seen", "how"], rows, marks)
    return Section("What had to hold", [Words(told), table] if rows else [])


def _suite(report: Mapping[str, Any], name: str) -> Section:
    suite = report["suites"][name]
    judged = name == report["judged_suite"]
    title = f"Suite: {name}" + (" (decides)" if judged else "")
    blocks: list[Block] = [
        Words(f"{suite['items']} questions, {suite['clusters']} independent groups; {KINDS[suite['kind']]}."),
        _figures_table(report, suite),
    ]
    if suite["differences"]:
        blocks.append(_differences_table(report, suite))
    missing = [
        f"{side_title(side)}: {len(rows)} of {suite['items']} questions without an answer ({_reasons(rows)})."
        for side, rows in suite["missing"].items()
    ]
    blocks += [Lines(missing)] if missing else []
    return Section(title, blocks, folded=not judged)


def _figures_table(report: Mapping[str, Any], suite: Mapping[str, Any]) -> Table:
    sides = suite["sides"]
    rows = []
    for metric, figures in suite["figures"].items():
        about = report["metrics"][metric]
        title = metric_title(metric) + ("" if about["higher_is_better"] else " (lower is better)")
        rows.append([title, *(figure_text(figures.get(side), about["unit"]) for side in sides)])
    return Table(["with 95 % intervals", *(side_title(side) for side in sides)], rows)


def _differences_table(report: Mapping[str, Any], suite: Mapping[str, Any]) -> Table:
    rows, marks = [], []
    for difference in suite["differences"]:
        about = report["metrics"][difference["metric"]]
        seen = difference["smallest_visible"]
        rows.append(
            [
                f"{metric_title(difference['metric'])}, against {side_title(difference['against'])}",
                difference_text(difference, unit_of(report, difference)),
                size_text(seen, unit_of(report, difference)),
                NOTHING
                if difference["n_differing"] is None
                else f"{difference['n_differing']} of {difference['n_clusters']}",
            ]
        )
        marks.append(mark_of(difference, about["higher_is_better"]))
    head = ["new model minus another", "difference with 95 % interval", "could have seen", "groups that differ"]
    return Table(head, rows, marks)


def mark_of(difference: Mapping[str, Any], higher_is_better: bool) -> str:
    """ "better" or "worse" where the interval leaves no doubt, else nothing."""
    neutral = 1.0 if difference["ratio"] else 0.0
    if difference["low"] is None or difference["low"] <= neutral <= difference["high"]:
        return ""
    return "better" if (difference["low"] > neutral) == higher_is_better else "worse"


def _baselines(report: Mapping[str, Any]) -> Section:
    suite, metric = report["suites"][report["judged_suite"]], report["primary_metric"]
    about, figures = report["metrics"][metric], suite["figures"].get(metric, {})
    rows, told = [], []
    for side, explanation in BASELINES.items():
        if side not in figures or figures[side]["figure"] is None:
            continue
        against = [d for d in suite["differences"] if (d["metric"], d["against"]) == (metric, side)]
        gain = difference_text(against[0], unit_of(report, against[0])) if against else NOTHING
        rows.append([side_title(side), figure_text(figures[side], about["unit"]), gain])
        told.append(explanation)
    head = ["measured against", metric_title(metric), "new model minus it"]
    return Section("Is training worth it?", [*_worth(report), Table(head, rows), Lines(told)] if rows else [])


def _worth(report: Mapping[str, Any]) -> list[Block]:
    """Whether the new model beats its own base with examples in the prompt, where that was asked."""
    suite, metric = report["suites"][report["judged_suite"]], report["primary_metric"]
    sought = (metric, "base_with_examples")
    found = next((d for d in suite["differences"] if (d["metric"], d["against"]) == sought), None)
    if found is None:
        return []
    said = {
        "better": "Yes: the new model is shown to be better than its base with examples in the prompt.",
        "worse": "No: its base with examples in the prompt is shown to be better than the new model.",
        "": "Not shown: the new model and its base with examples in the prompt cannot be told apart.",
    }
    return [Words(said[mark_of(found, report["metrics"][metric]["higher_is_better"])])]


def _slices(report: Mapping[str, Any]) -> Section:
    metric = report["primary_metric"]
    unit, incumbent = report["metrics"][metric]["unit"], report["incumbent"]
    rows, marks = [], []
    for part in report["slices"]:
        anecdote = f", an anecdote: below {FEW_CLUSTERS}" if part["clusters"] < FEW_CLUSTERS else ""
        rows.append(
            [
                part["by"].replace("_", " "),
                part["name"],
                f"{part['rows']} ({part['clusters']}{anecdote})",
                figure_text(part["figures"].get("candidate"), unit),
                figure_text(part["figures"].get(incumbent), unit),
                NOTHING
                if part["difference"] is None
                else difference_text(part["difference"], unit_of(report, part["difference"])),
                "worse" if part["worse"] else "",
            ]
        )
        marks.append("worse" if part["worse"] else "")
    head = ["by", "group", "questions (independent)", "new model", side_title(incumbent), "difference", "shown worse"]
    told = (
        f"The figure is {metric_title(metric)}. A group is called worse only after a correction for looking at all of "
        "them (Holm 1979, 5 % for the whole table): among twenty groups of two equal models one looks worse by chance."
    )
    return Section(
        "By role, task, reasoning mode and difficulty", [Words(told), Table(head, rows, marks)] if rows else []
    )


def _interference(report: Mapping[str, Any]) -> Section:
    rows, marks = [], []
    for cell in report["interference"]:
        about = report["metrics"][cell["metric"]]
        rows.append(
            [
                cell["of"],
                metric_title(cell["metric"]),
                side_title(cell["against"]),
                difference_text(cell, unit_of(report, cell)),
                str(cell["n_clusters"]),
                size_text(cell["smallest_visible"], unit_of(report, cell)),
            ]
        )
        marks.append(mark_of(cell, about["higher_is_better"]))
    told = (
        "The golden sets of all other specializations: what training for this role did to the others' questions. It is "
        "reported; it blocks only where this model serves that role too."
    )
    head = ["questions of", "metric", "against", "new model minus it", "independent groups", "could have seen"]
    picture = Picture("interference.png", "Heat map: differences on the golden sets of all specializations.")
    return Section("Interference with other roles", [Words(told), picture, Table(head, rows, marks)] if rows else [])


def _reasons(rows: Mapping[str, str]) -> str:
    counts: dict[str, int] = {}
    for reason in rows.values():
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))

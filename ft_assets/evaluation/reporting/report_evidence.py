"""The evidence at the end of a report: answers side by side, cost, people's and judges' opinions, gaps, origins."""

from collections.abc import Mapping
from typing import Any

from ft_assets.evaluation.reporting.report_numbers import NOTHING, difference_text, metric_title, side_title, value_text
from ft_assets.evaluation.reporting.report_page import Block, Lines, Section, SideBySide, Table, Words

WORDS_USED = (
    "independent group (cluster): questions of one conversation or near copies of each other; they rise and fall "
    "together, so they count once.",
    "95 % interval: made so that 95 of 100 of them hold the true value; here by drawing whole groups again and again "
    "(paired bootstrap).",
    "points: percentage points; from 70 % to 75 % are 5 points.",
    "could have seen: the smallest true difference that a test on these questions finds four times in five, with at "
    "most one false alarm in forty.",
)

CHOSEN = {"candidate": "the new model", "incumbent": "the other model", "": "no verdict"}


def evidence_sections(report: Mapping[str, Any]) -> list[Section]:
    """The sections, in the order of reading; one without blocks has nothing to tell."""
    return [
        _answers(report, "improved", "The most improved answers"),
        _answers(report, "worsened", "The most worsened answers"),
        _blind(report),
        _cost(report),
        _judge(report),
        Section(
            "Preferences", _figures(report["preferences"], "Of the checkpoint that was kept, on validation pairs:")
        ),
        _contamination(report),
        Section("What this report cannot say", [Lines(report["not_measured"])]),
        _origins(report),
        _words(report),
    ]


def _answers(report: Mapping[str, Any], direction: str, title: str) -> Section:
    metric, other = report["primary_metric"], report["incumbent"]
    unit = report["metrics"][metric]["unit"]
    examples = report["examples"][direction]
    blocks: list[Block] = [] if examples else [Words(f"No answer {direction}.")]
    for example in examples:
        before, now = (value_text(example["scores"][side], unit) for side in (other, "candidate"))
        line = f"{example['task_type']}, {example['row_id']}: {metric_title(metric)} from {before} to {now}"
        texts = [
            ("question", example["prompt"]),
            ("expected", example["reference"]),
            (side_title("candidate"), example["candidate"]),
            (side_title(other), example[other]),
        ]
        blocks.append(SideBySide(line, texts, worse=direction == "worsened"))
    return Section(title, blocks)


def _blind(report: Mapping[str, Any]) -> Section:
    out = report["blind_sample"]
    told = (
        f"{out['pairs']} pairs of answers of this report went to people in {out['file']}, without saying which model "
        f"gave which. {out['same']} of {out['asked']} questions were answered alike by both and were not drawn."
        if out
        else "No pair of answers went to people."
    )
    blocks: list[Block] = [Words(told)]
    rows, comments = [], []
    for result in report["blind"]:
        share = NOTHING if result["low"] is None else f"{100 * result['low']:.0f} to {100 * result['high']:.0f} %"
        about = "this model" if result["candidate"] == report["models"]["candidate"] else "an earlier model"
        rows.append(
            [
                f"{result['candidate'][:12]} ({about}) against {result['incumbent'][:12]}",
                *(str(result[name]) for name in ("candidate_better", "incumbent_better", "ties", "both_bad")),
                str(result["not_judged"]),
                share,
                ", ".join(result["reviewers"]) or NOTHING,
            ]
        )
        comments += [f"{question}, {CHOSEN.get(whose, whose)}: {text}" for question, whose, text in result["comments"]]
    head = ["pair of models", "new better", "other better", "tie", "both bad", "not judged", "new better, 95 %", "who"]
    if rows:
        blocks.append(Table(head, rows))
        blocks += (
            [Words("What reviewers wrote (question, whose answer they chose):"), Lines(comments)] if comments else []
        )
    else:
        blocks.append(Words("No verdict of a person has come back yet."))
    return Section("What people say who do not know which is which", blocks)


def _cost(report: Mapping[str, Any]) -> Section:
    blocks: list[Block] = []
    if rows := [[line["what"], *_bill(line)] for line in report["spent"]]:
        blocks.append(Table(["", "seconds", "GPU seconds", "tokens", "dollars"], rows))
    if report["latency"]:
        blocks.append(
            Words("How long one answer takes, the models asked in turns on one machine, one question at a time:")
        )
        blocks.append(
            Table(
                ["", "seconds, median", "longest", "answers"],
                [
                    [side_title(side), f"{found['median']:.3g}", f"{found['longest']:.3g}", str(found["answers"])]
                    for side, found in report["latency"].items()
                ],
            )
        )
    changed = [
        f"{name}, {side_title(side)}: {found['differing']} of {found['rows']} answers came out differently when the "
        "question was asked alone instead of in a batch."
        for name, suite in report["suites"].items()
        for side, found in suite["batch_disagreement"].items()
    ]
    blocks += [Lines(changed)] if changed else []
    return Section("Cost, tokens and speed", blocks)


def _bill(line: Mapping[str, Any]) -> list[str]:
    forms = {"seconds": "{:,.1f}", "gpu_seconds": "{:,.1f}", "tokens": "{:,}", "dollars": "{:,.4f}"}
    return [NOTHING if line[name] is None else form.format(line[name]) for name, form in forms.items()]


def _judge(report: Mapping[str, Any]) -> Section:
    """What a judge model preferred, and how far it leans to what stands first."""
    if not (judge := report["judge"]):
        return Section("A judge's opinion", [])
    told = (
        "A judge model saw both answers of each question, in both orders; a pair counts only where both orders agree. "
        "Position bias is how often it preferred what stood first minus how often what stood second: 0 is a judge that "
        "ignores the order. An opinion, beside what decides."
    )
    shares = {
        "prefers the new model minus prefers the other": judge["preference"],
        "position bias": judge["position_bias"],
    }
    rows = [
        [
            name,
            NOTHING if share is None else difference_text(share, "rate"),
            "" if share is None else str(share["clusters"]),
        ]
        for name, share in shares.items()
    ]
    table = Table(["judge", "with 95 % interval", "independent groups"], rows)
    return Section("A judge's opinion", [Words(told), table, *_figures(judge["figures"], "How it was asked:")])


def _figures(found: Mapping[str, Any], told: str) -> list[Block]:
    if not found:
        return []
    return [Words(told), Table(["figure", "value"], [[str(name), shown(value)] for name, value in found.items()])]


def _contamination(report: Mapping[str, Any]) -> Section:
    told = (
        "Whether questions of this evaluation stand in the training data. Looked for: equal ids, clusters and texts, "
        "long shared excerpts, near copies, and copies planted on purpose to see whether they would be found."
    )
    return Section("Contamination", _figures(report["contamination"], told))


def _origins(report: Mapping[str, Any]) -> Section:
    found: dict[str, Any] = {side_title(side): digest for side, digest in report["models"].items()}
    found |= {f"base of the {side_title(side)}": digest for side, digest in report["bases"].items() if side != "base"}
    found |= {"snapshot": report["snapshot"]}
    found |= {f"snapshot, {name}": size for name, size in report["snapshot_sizes"].items()}
    found |= {"recipe": report["recipe_digest"]}
    found |= {f"suite {name}": suite["digest"] for name, suite in report["suites"].items()}
    rows = [[str(name), shown(value)] for name, value in (found | report["settings"]).items()]
    blocks: list[Block] = [Table(["what", "which"], rows)]
    if report["sandbox"]:
        blocks += [Words("Code of answers ran behind these protections:"), Lines(report["sandbox"])]
    return Section("Where it comes from", blocks, folded=True)


def _words(report: Mapping[str, Any]) -> Section:
    used = [name for name in report["metrics"] if any(name in s["figures"] for s in report["suites"].values())]
    told = [_told_metric(name, report["metrics"][name]) for name in used]
    return Section("The words and the metrics", [Lines([*WORDS_USED, *told])], folded=True)


def _told_metric(name: str, about: Mapping[str, Any]) -> str:
    dimension = f" ({about['dimension']})" if about["dimension"] else ""
    return f"{metric_title(name)}{dimension}: {' '.join(about['description'].split())}"


def shown(value: Any) -> str:
    """A value of any kind as text: floats short, mappings as `key: value` pairs."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(shown(inner) for inner in value) or NOTHING
    return str(value)

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft_assets.command_line.arguments import AsJson, Model
from ft_assets.command_line.history import in_words
from ft_assets.command_line.printing import NOTHING, Pair, heading, lines, pairs, print_json, shown
from ft_assets.command_line.stores import Stores

if TYPE_CHECKING:
    from ft_assets.answers.reported import Reported
    from ft_assets.answers.why_model import ModelAnswer
    from ft_assets.state import State


def why(model: Model, as_json: AsJson = False) -> None:
    """Why this model: its rows, recipe and base, its metrics and verdict, who approved and promoted it, its cost.

    Ends with 1 when the model's files are damaged or gone.
    """
    import typer

    from ft_assets.answers.named_models import find_model
    from ft_assets.answers.why_model import why_model

    stores = Stores()
    answer = why_model(stores.state, stores.lake, find_model(stores.state, model))
    if as_json:
        print_json(answer.as_dict())
    else:
        print_answer(stores.state, answer)
    if answer.damage:
        raise typer.Exit(1)


def print_answer(state: "State", answer: "ModelAnswer") -> None:
    """The answer for people, section by section."""
    lines([answer.name], indent=0)
    pairs(_identity(answer))
    heading("Rows")
    pairs(_rows(answer))
    heading("Recipe")
    pairs(_recipe(answer.provenance))
    heading("Evaluation")
    if answer.report is None:
        lines(["No report about this model is registered."])
    else:
        pairs(_evaluation(answer.report, answer.judged_against))
    heading("Approvals")
    lines([_approval(answer, each) for each in answer.approvals] or ["None was given."])
    heading("Promotions")
    lines([_reign(state, each) for each in answer.reigns] or ["It never was champion."])
    heading("Cost")
    lines(_cost(answer.report))


def _identity(answer: "ModelAnswer") -> list[Pair]:
    registered = answer.registered
    return [
        ("digest", answer.digest),
        ("line", answer.specialization),
        ("type", registered.type if registered else None),
        ("aliases", ", ".join(answer.aliases)),
        ("trained", answer.trained_at),
        ("created", registered.at if registered else None),
        ("launched by", answer.launched_by),
        ("artifact", answer.artifact),
        ("its files", f"DAMAGED: {answer.damage}" if answer.damage else "whole, every byte verified just now"),
        *[("TAINTED", f"{taint.reason} ({taint.by}, {shown(taint.at)})") for taint in answer.tainted],
    ]


def _rows(answer: "ModelAnswer") -> list[Pair]:
    if answer.damage or answer.rows_problem:
        return [("unknown", answer.rows_problem or "the artifact that names them is damaged")]
    told = [
        (side, [f"{rows:,} {kind} from {interactions:,} interactions" for kind, (rows, interactions) in kinds.items()])
        for side, kinds in answer.rows.items()
    ]
    erased = [("erased by request", answer.rows_erased)] if answer.rows_erased else []
    where = [("snapshot", answer.provenance["snapshot"]), ("list them", f"ft-assets rows {answer.digest[:12]}")]
    return [*told, *erased, *where]


def _recipe(provenance: Mapping[str, Any]) -> list[Pair]:
    if not provenance:
        return [("unknown", None)]
    knobs = {key: value for key, value in provenance["recipe"].items() if value not in (None, {}, "")}
    reasons = knobs.pop("outside_range", {})
    device = provenance["device"]
    return [
        ("base", f"{provenance['base_id']} ({provenance['base_digest'][:12]})"),
        *((key, value) for key, value in knobs.items()),
        *((f"{key} outside its range", reason) for key, reason in reasons.items()),
        ("system prompt", provenance.get("system_prompt")),
        ("recipe digest", provenance["recipe_digest"]),
        ("code version", provenance["code_version"][:12]),
        ("trained on", f"{device['type']} {device['kind']}, {device['threads']} threads"),
        ("libraries", provenance["libraries"]),
    ]


def _evaluation(report: "Reported", against: Mapping[str, str]) -> list[Pair]:
    if report.unreadable:
        return [("report", report.digest), ("unreadable", report.unreadable)]
    return [
        ("verdict", report.summary or report.outcome),
        ("because", report.reasons),
        *([("conditions", report.conditions)] if report.conditions else []),
        ("against", [f"{side}: {name}" for side, name in against.items()]),
        *((f"{each.metric}, {each.suite}", _figure(each)) for each in report.figures),
        ("report", report.digest),
        ("to read", report.path),
    ]


def _figure(figure: Any) -> str:
    from ft_assets.evaluation.reporting.report_numbers import figure_text

    return figure_text(vars(figure), figure.unit)


def _approval(answer: "ModelAnswer", approval: Any) -> str:
    newest = answer.evaluations[-1].report_digest if answer.evaluations else ""
    about = "the newest report" if approval.report_digest == newest else "an earlier report"
    return (
        f"{approval.by}, {shown(approval.at)}, until {shown(approval.expires_at)}: {approval.why} "
        f"({about}, {approval.report_digest[:12]})"
    )


def _reign(state: "State", reign: Any) -> str:
    told = in_words(state, reign.promotion)
    if reign.until is None:
        return f"{told}. It is the champion."
    return f"{told}. It fell {shown(reign.until.at)} by {reign.until.kind} {reign.until.number}."


def _cost(report: "Reported | None") -> list[str]:
    told = {
        "seconds": "{:,.1f} s",
        "gpu_seconds": "{:,.1f} GPU seconds",
        "tokens": "{:,} tokens",
        "dollars": "{:,.4f} $",
    }
    spent = report.spent if report else []
    bill = [(line["what"], [text.format(line[k]) for k, text in told.items() if line[k] is not None]) for line in spent]
    return [f"{what}: {', '.join(parts) or NOTHING}" for what, parts in bill] or ["The report holds no bill."]

"""What a dossier says, section by section, each sentence from a fact."""

from collections.abc import Iterable, Mapping
from typing import Any

from ft_assets.release.dossier_decisions import cost, decisions, licences
from ft_assets.release.dossier_evaluation import contamination, evaluation
from ft_assets.release.dossier_facts import DossierFacts
from ft_assets.release.dossier_page import Block, Lines, Link, Page, Section, Table, Words
from ft_assets.release.dossier_words import listed, shown, value_text

SIDES = ("train", "validation", "eval")
USES = {"train": "learned from", "validation": "chose the checkpoint", "eval": "held back, to judge"}
UNKNOWN_TRAINER = "unknown"


def dossier_page(facts: DossierFacts, files: Mapping[str, str]) -> Page:
    """The page. `files` maps each other file of the folder to what it is."""
    version = facts.version
    return Page(
        title=f"Dossier of {version.version_name}",
        headline=_headline(facts),
        sections=[
            Section("What this is", _identity(facts)),
            Section("What it is for, and what it must not be used for", _uses(facts)),
            Section("What it was trained on", _data(facts)),
            Section("How it was trained", _training(facts)),
            Section("How it was judged", evaluation(facts)),
            Section("Whether it had seen the questions", contamination(facts)),
            Section("Who decided, on what evidence", decisions(facts)),
            Section("Licences", licences(facts)),
            Section("What it cost", cost(facts)),
            Section("What is unknown", [Lines(unknown(facts) or ["Nothing that a dossier asks for."])]),
            Section("Files", [Link(name, about) for name, about in sorted(files.items())]),
        ],
    )


def unknown(facts: DossierFacts) -> list[str]:
    """What nobody can read from the records, and what was not measured."""
    told = [*facts.unknown, *(f"Not measured: {each}" for each in facts.report.get("not_measured", []))]
    if facts.version.trained_by in ("", UNKNOWN_TRAINER):
        told.append("Who launched the training was not recorded.")
    if facts.provenance and "numerics" not in facts.provenance:
        told.append("The numeric fingerprint was not recorded, so the training cannot be repeated bit by bit for sure.")
    if str(facts.line.base.get("licence", "unknown")) == "unknown":
        told.append("The licence of the base model is not known.")
    if not facts.line.data_licence:
        told.append("On what licence or consent the logged answers are used is not recorded anywhere.")
    if facts.report and not facts.report.get("blind"):
        told.append("No person has compared its answers blindly yet, or no verdict came back.")
    return told


def _headline(facts: DossierFacts) -> str:
    if facts.tainted:
        return f"TAINTED, must not be used: {'; '.join(taint.reason for taint in facts.tainted)}"
    verdict = facts.evaluated[-1].summary if facts.evaluated else "never evaluated"
    return f"{'In use' if facts.is_champion else 'Not in use'}. Newest verdict: {verdict}"


def _identity(facts: DossierFacts) -> list[Block]:
    version, origin = facts.version, facts.provenance
    adapter = (
        f"{value_text(origin.get('recipe', {}).get('method'))} adapter on {origin.get('base_id', 'an unknown base')}"
    )
    rows = [
        ("version", version.version_name),
        ("model line", f"{version.specialization}: {facts.line.description}"),
        ("kind", f"{version.type}; {adapter}"),
        ("artifact", f"adapter/{version.model_digest}"),
        ("registered", shown(version.at)),
        ("launched by", version.trained_by),
        ("status", "champion, the model in use" if facts.is_champion else "not in use"),
    ]
    return [Table(["", ""], rows)]


def _uses(facts: DossierFacts) -> list[Block]:
    select = facts.recipe.get("selector", {})
    roles, tasks = (select.get(name) or [] for name in ("roles", "task_types"))
    meant = f"Meant for: {facts.line.description}"
    asked = f"It learned answers for {listed(roles, 'all roles')} in the tasks {listed(tasks, 'of every kind')}."
    return [Words(meant), Words(asked), Words("It must not be used"), Lines(list(_limits(facts, roles, tasks)))]


def _limits(facts: DossierFacts, roles: list[str], tasks: list[str]) -> Iterable[str]:
    if facts.tainted:
        yield f"at all: it is tainted ({'; '.join(taint.reason for taint in facts.tainted)})"
    outcome = facts.evaluated[-1].outcome if facts.evaluated else "not evaluated"
    if outcome != "promote":
        yield f"in production: its newest verdict is {outcome}, not promote"
    if roles or tasks:
        named = listed([*roles, *tasks], "")
        yield f"for anything but {named}: nothing else was trained, and only the suites below were measured"
    against = "model that was in use" if facts.report.get("incumbent") == "champion" else "base model"
    for each in facts.report.get("slices", []):
        if each.get("worse"):
            name = f"{each['by']} {each['name']}".replace("_", " ")
            yield f"for {name} without care: there it is worse than the {against}"
    for task, sides in sorted(facts.counts.get("rows_by_task", {}).items()):
        if not sides.get("train"):
            yield f"for the task {task}: the line names it, and not one train row shows it"
    yield "to decide about people, or where a wrong answer does harm, without a person who checks the answer"
    yield "as a source of facts: it was taught how this organisation's good answers look, not whether they are true"


def _data(facts: DossierFacts) -> list[Block]:
    counts, card = facts.counts, facts.card
    rows = [
        (side, f"{counts['rows_by_side'].get(side, 0):,}", f"{counts['clusters_by_side'].get(side, 0):,}", USES[side])
        for side in SIDES
        if counts
    ]
    blocks: list[Block] = [Words(f"Snapshot {facts.version.snapshot}: logged answers, masked before they were kept.")]
    blocks += [Table(["side", "rows", "clusters", "use"], rows)] if rows else []
    given = [
        (side, kind, f"{len(ids):,}")
        for side, kinds in sorted(facts.received.items())
        for kind, ids in sorted(kinds.items())
    ]
    blocks += [Words("The trainer received:"), Table(["side", "kind", "rows"], given)] if given else []
    if drops := counts.get("drops"):
        left_out = [(reason.replace("_", " "), f"{number:,}") for reason, number in sorted(drops.items())]
        blocks += [Words("Left out, by reason:"), Table(["reason", "rows"], left_out)]
    if card:
        blocks += _card(card)
    return blocks


def _card(card: Mapping[str, Any]) -> list[Block]:
    days, verified, users = (card.get(name) or {} for name in ("days", "verified", "users"))
    told = [
        f"It landed on {days.get('days')} days, {days.get('first')} to {days.get('last')}." if days else "",
        f"A person checked or wrote {verified.get('rows')} of {verified.get('of')} train rows." if verified else "",
        f"{users.get('users')} users asked; {users.get('rows_without')} rows do not say who." if users else "",
    ]
    origins = [
        (kind.replace("_", " "), each["name"], f"{each['rows']:,}")
        for kind, counted in sorted((card.get("origins") or {}).items())
        for each in counted
    ]
    masked = [(each["kind"], f"{each['places']:,}") for each in card.get("masked") or []]
    blocks: list[Block] = [Lines([each for each in told if each]), Table(["", "from", "rows"], origins)]
    if masked:
        blocks += [Words("Masked in these rows:"), Table(["kind", "places"], masked)]
    return blocks


def _training(facts: DossierFacts) -> list[Block]:
    origin = facts.provenance
    recipe = [
        (name, value_text(value)) for name, value in sorted(origin.get("recipe", {}).items()) if value not in (None, {})
    ]
    looks = [entry for entry in facts.log if "eval_loss" in entry]
    losses = (
        [("first validation loss", looks[0]["eval_loss"]), ("lowest", min(e["eval_loss"] for e in looks))]
        if looks
        else []
    )
    made_with = [
        ("code", str(origin.get("code_version"))),
        ("python", str(origin.get("python"))),
        *((name, str(of)) for name, of in sorted(origin.get("libraries", {}).items())),
        *((name, value_text(value)) for name, value in sorted(origin.get("device", {}).items())),
        *((name, value_text(value)) for name, value in sorted(origin.get("numerics", {}).items())),
    ]
    blocks: list[Block] = [Table(["", ""], [(name, f"{value:.4f}") for name, value in losses])] if losses else []
    decided = [
        tuple(value_text(each.get(key)) for key in ("id", "date", "about", "decided", "rationale"))
        for each in facts.decisions
    ]
    blocks += [Words("Recipe:"), Table(["knob", "value"], recipe)]
    if decided:
        blocks += [Words("Decision log:"), Table(["id", "date", "about", "decided", "rationale"], decided)]
    again = f"Made with (ft-assets reproduce {facts.version.model_digest[:12]} trains it again from these):"
    return [*blocks, Words(again), Table(["", ""], made_with)]

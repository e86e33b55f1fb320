"""What a dossier says of who decided, of licences and of cost."""

from ft_assets.release.dossier_facts import DossierFacts
from ft_assets.release.dossier_page import Block, Table, Words
from ft_assets.release.dossier_words import shown


def decisions(facts: DossierFacts) -> list[Block]:
    """Reports, approvals, and every time that the model came into use or left it."""
    own = facts.version.model_digest
    blocks: list[Block] = [
        Words(
            "A gate decides by rules that were written before the evaluation; changes of the model in use are below."
        ),
        Table(
            ["evaluated", "verdict", "report"],
            [(shown(each.at), each.summary, each.report_digest) for each in facts.evaluated],
        ),
    ]
    rule = (
        "This line lets no model into use without a person's approval."
        if facts.line.approval_required
        else ("This line needs no approval by a person: a verdict of promote is enough.")
    )
    blocks.append(Words(rule))
    given = [
        (each.by, shown(each.at), shown(each.expires_at), each.why, each.report_digest[:12]) for each in facts.approvals
    ]
    blocks.append(
        Table(["approved by", "on", "until", "because", "report"], given) if given else Words("None was given.")
    )
    moves = [
        (
            each.kind,
            str(each.number),
            shown(each.at),
            each.by,
            facts.name(each.model_digest),
            facts.name(each.previous),
            each.why,
        )
        for each in facts.history
        if own in (each.model_digest, each.previous)
    ]
    head = ["what", "number", "when", "by", "into use", "in place of", "because"]
    blocks.append(Table(head, moves) if moves else Words("It never was in use."))
    if facts.tainted:
        blocks.append(Table(["tainted because", "by", "when"], [(t.reason, t.by, shown(t.at)) for t in facts.tainted]))
    return blocks


def licences(facts: DossierFacts) -> list[Block]:
    """Of the base model and of the data."""
    base = facts.line.base
    rows = [
        ("base model", f"{base.get('id')} {base.get('hub_id') or ''}".strip(), str(base.get("licence", "unknown"))),
        ("data", "logged answers of this organisation", facts.line.data_licence or "not recorded"),
    ]
    return [Table(["what", "which", "licence"], rows)]


def cost(facts: DossierFacts) -> list[Block]:
    """The bill of the report: training and answers."""
    rows = [
        (
            str(each["what"]),
            *(
                "not known" if each.get(name) is None else f"{each[name]:,.2f}".rstrip("0").rstrip(".")
                for name in ("seconds", "gpu_seconds", "tokens", "dollars")
            ),
        )
        for each in facts.report.get("spent", [])
    ]
    return [Table(["what", "seconds", "GPU seconds", "tokens", "dollars"], rows) if rows else Words("Not recorded.")]

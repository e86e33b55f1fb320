"""Who is champion changes here and nowhere else: a verdict from a report, a compare-and-set, a line in the history."""

import json
from dataclasses import dataclass

from ft_assets.errors import BadInput, EvaluationIncomplete
from ft_assets.lake import Artifact
from ft_assets.state import Promotion, State


@dataclass(frozen=True)
class ReportedVerdict:
    """What an evaluation report says about one candidate; `report_digest` is the evidence."""

    specialization: str
    candidate: str
    incumbent: str | None
    outcome: str
    summary: str
    report_digest: str


def read_verdict(report: Artifact) -> ReportedVerdict:
    """The verdict in a verified report artifact: on which candidate, against which incumbent.

    Raises:
        BadInput: the artifact holds no readable report.json; materialize evaluation_report again.
    """
    path = report.path / "report.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        models, verdict = facts["models"], facts["verdict"]
        return ReportedVerdict(
            specialization=facts["specialization"],
            candidate=models["candidate"],
            incumbent=models.get("champion"),
            outcome=verdict["outcome"],
            summary=verdict["summary"],
            report_digest=report.digest,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} holds no verdict ({error!r}), so nothing may be promoted on it. "
            "Materialize evaluation_report again."
        ) from error


def promote_if_allowed(
    state: State, specialization: str, model_digest: str, verdict: ReportedVerdict, by: str
) -> Promotion | None:
    """Makes the model champion if its verdict is `promote`; None where the verdict is hold or reject.

    The change is a compare-and-set against the incumbent that the verdict was reached against, so of two runs one
    wins. A re-run after a cut-off finds the model already champion and returns that promotion.

    Raises:
        EvaluationIncomplete: the verdict is about another model or another line; evaluate this one first.
        StaleChampion: somebody else was promoted since; evaluate against the new champion.
    """
    if (verdict.specialization, verdict.candidate) != (specialization, model_digest):
        raise EvaluationIncomplete(
            f"Report {verdict.report_digest[:12]} is about model {verdict.candidate[:12]} of {verdict.specialization}, "
            f"not about {model_digest[:12]} of {specialization}, so it is no proof for it. "
            "Materialize evaluation_report for this model."
        )
    if verdict.outcome != "promote":
        return None
    champion = state.champion(specialization)
    if champion is not None and champion.model_digest == model_digest:
        return champion
    return state.promote(
        specialization,
        model_digest,
        expected_previous=verdict.incumbent,
        by=by,
        why=verdict.summary,
        evidence=verdict.report_digest,
    )

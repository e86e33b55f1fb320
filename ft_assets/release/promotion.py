"""Who is champion changes here and nowhere else: a verdict from a report, a compare-and-set, a line in the history."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ft_assets.errors import BadInput, EvaluationIncomplete
from ft_assets.lake import Artifact
from ft_assets.state import Promotion, State
from ft_assets.state_approvals import approvals
from ft_assets.state_taints import taints


@dataclass(frozen=True)
class ReportedVerdict:
    """What an evaluation report says about one candidate; `report_digest` is the evidence."""

    specialization: str
    candidate: str
    incumbent: str | None
    outcome: str
    summary: str
    report_digest: str


@dataclass(frozen=True)
class Decision:
    """What came of a wish to promote: the line of the history, or None and the reason why there is none."""

    promotion: Promotion | None
    why_not: str = ""


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
            summary=_summary(verdict),
            report_digest=report.digest,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path} holds no verdict ({error!r}), so nothing may be promoted on it. "
            "Materialize evaluation_report again."
        ) from error


def promote_if_allowed(
    state: State,
    specialization: str,
    model_digest: str,
    verdict: ReportedVerdict,
    by: str,
    why: str | None = None,
    needs_approval: bool = False,
    again: bool = False,
) -> Decision:
    """Makes the model champion if everything that a promotion asks for is there; otherwise says what is missing.

    It asks for a `promote` verdict on exactly this model, against exactly the champion that is still in place
    (compare-and-set, so of several runs one wins), for no taint, and, where the line wants one, for an approval of this
    very report. A model that fell after a promotion on the same report comes back only with `again`, which a person
    says: a step that is repeated must not undo a rollback. A re-run after a cut-off finds its own promotion.

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
    champion = state.champion(specialization)
    if champion is not None and champion.model_digest == model_digest:
        return Decision(champion)
    if reason := what_is_missing(state, verdict, needs_approval, again):
        return Decision(None, reason)
    promotion = state.promote(
        specialization,
        model_digest,
        expected_previous=verdict.incumbent,
        by=by,
        why=why or verdict.summary,
        evidence=verdict.report_digest,
    )
    return Decision(promotion)


def what_is_missing(state: State, verdict: ReportedVerdict, needs_approval: bool, again: bool = False) -> str | None:
    """Why the model of this report would not be promoted now, whoever the champion is; None where nothing is missing.

    `again` as in `promote_if_allowed`."""
    model, report = verdict.candidate, verdict.report_digest
    if verdict.outcome != "promote":
        return f"report {report[:12]} does not say promote: {verdict.summary}"
    if reasons := taints(state).get(model):
        return f"{model[:12]} is tainted: {'; '.join(each.reason for each in reasons)}"
    earlier = [p for p in state.promotions(verdict.specialization) if (p.model_digest, p.evidence) == (model, report)]
    if earlier and not again:
        return (
            f"{model[:12]} was champion by promotion {earlier[-1].number} on this very report and fell since; "
            "a person brings it back with `ft-assets promote` or `ft-assets rollback`"
        )
    if needs_approval:
        return _missing_approval(state, verdict)
    return None


def _missing_approval(state: State, verdict: ReportedVerdict) -> str | None:
    given = approvals(state, verdict.specialization, verdict.candidate)
    now, report = datetime.now(UTC), verdict.report_digest
    if any(approval.stands(report, now) for approval in given):
        return None
    how = f"`ft-assets approve {verdict.candidate[:12]} --report {report[:12]} --by NAME --why REASON`"
    if not given:
        return f"a person has to approve report {report[:12]} first: {how}"
    last = given[-1]
    if last.report_digest != report:
        return (
            f"{last.by} approved report {last.report_digest[:12]}, and the evidence is {report[:12]} now; "
            f"somebody has to read and approve that one: {how}"
        )
    return f"the approval by {last.by} expired at {last.expires_at:%Y-%m-%d %H:%M} UTC; approve it again: {how}"


def _summary(verdict: dict[str, Any]) -> str:
    """One line. A report that has none is summed up by its reasons."""
    summary = verdict.get("summary") or "; ".join(verdict["reasons"])
    return str(summary or verdict["outcome"])

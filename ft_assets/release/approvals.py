"""A person's approval of one report, for lines that do not let a model into use without one."""

from ft_assets.errors import PromotionRefused
from ft_assets.release.promotion import ReportedVerdict
from ft_assets.state import State
from ft_assets.state_approvals import Approval, record_approval
from ft_assets.state_registry import evaluations
from ft_assets.state_taints import taints


def approve(
    state: State,
    verdict: ReportedVerdict,
    by: str,
    why: str,
    trained_by: str | None,
    expires_days: int,
) -> Approval:
    """Keeps a person's word that the model of this report may be promoted on it, for so many days.

    The report must be the newest one about the model and still be about today's champion: what was approved is what
    is promoted. The promotion itself asks again.

    Raises:
        PromotionRefused: no name or reason; the approver launched the training; the report does not say promote, is
            not the newest one, or was made against another champion; the model is tainted. The message says which.
    """
    by, why = by.strip(), why.strip()
    if problem := _problem(state, verdict, by, why, trained_by, expires_days):
        raise PromotionRefused(f"{verdict.specialization}: not approved. {problem}")
    model, report = verdict.candidate, verdict.report_digest
    return record_approval(state, verdict.specialization, model, report, by, why, expires_days)


def _problem(
    state: State, verdict: ReportedVerdict, by: str, why: str, trained_by: str | None, expires_days: int
) -> str | None:
    model, report = verdict.candidate, verdict.report_digest
    champion = state.champion(verdict.specialization)
    now = champion.model_digest if champion else None
    newest = [each.report_digest for each in evaluations(state, verdict.specialization, model)][-1:]
    if not by or not why:
        return "An approval has a name and a reason; give --by and --why."
    if expires_days < 1:
        return f"It would expire after {expires_days} days; an approval stands for a day at least."
    if trained_by and same_person(by, trained_by):
        return f"{trained_by} launched this training, and nobody approves a model of their own. Ask somebody else."
    if newest and newest != [report]:
        return f"The evidence changed: report {newest[0][:12]} came after {report[:12]}. Read and approve that one."
    if verdict.outcome != "promote":
        return f"Report {report[:12]} does not say promote: {verdict.summary}"
    if now == model:
        return f"{model[:12]} is the champion already."
    if now != verdict.incumbent:
        return (
            f"The evidence changed: report {report[:12]} was made against {_name(verdict.incumbent)}, and the champion "
            f"is {_name(now)} now. Materialize evaluation_report and registered_model again, and read the new report."
        )
    if reasons := taints(state).get(model):
        return f"{model[:12]} is tainted: {'; '.join(each.reason for each in reasons)}."
    return None


def same_person(one: str, other: str) -> bool:
    """Whether two names are of one person, however they are spelled: case and blanks do not count."""
    return one.casefold().split() == other.casefold().split()


def _name(digest: str | None) -> str:
    return digest[:12] if digest else "no champion"

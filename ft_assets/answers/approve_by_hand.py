"""A person's approval of a model, found in order before it is kept."""

from typing import TYPE_CHECKING

from ft_assets.answers.named_models import NamedModel
from ft_assets.answers.newest_report import newest_verdict
from ft_assets.errors import PromotionRefused
from ft_assets.lake import Lake
from ft_assets.release.approvals import approve
from ft_assets.state import State
from ft_assets.state_approvals import Approval
from ft_assets.state_registry import registrations

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Specialization


def approve_by_hand(
    state: State,
    lake: Lake,
    model: NamedModel,
    spec: "Specialization",
    by: str,
    why: str,
    report: str | None = None,
    expires_days: int | None = None,
) -> Approval:
    """The approval of the model's newest report. `report` is the beginning of the digest that the person has read.

    Raises:
        PromotionRefused: see `release.approvals.approve`; also when `report` is not the newest one, or when it would
            stand longer than the line allows.
        IncompleteArtifact: the model or its report is damaged.
    """
    rule = spec.release.approval
    verdict = newest_verdict(state, lake, model)
    lake.artifact("adapter", model.digest)
    if report and not verdict.report_digest.startswith(report):
        raise PromotionRefused(
            f"{model.name}: not approved. The evidence changed: its newest report is {verdict.report_digest[:12]}, and "
            f"you read {report[:12]}. Read the new one first: ft-assets why {model.digest[:12]}"
        )
    if expires_days and expires_days > rule.expires_days:
        raise PromotionRefused(
            f"{model.name}: not approved. It would stand for {expires_days} days, and the line allows "
            f"{rule.expires_days} (release.approval.expires_days)."
        )
    version = next((v for v in registrations(state, model.specialization) if v.model_digest == model.digest), None)
    trained_by = version.trained_by if version else None
    return approve(state, verdict, by, why, trained_by, expires_days or rule.expires_days)

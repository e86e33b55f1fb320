"""A person's wish to promote a model, answered by the same rules as an automatic one."""

from typing import TYPE_CHECKING

from ft_assets.answers.named_models import NamedModel
from ft_assets.answers.newest_report import newest_verdict
from ft_assets.errors import PromotionRefused
from ft_assets.lake import Lake
from ft_assets.release.promotion import promote_if_allowed
from ft_assets.state import Promotion, State

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Specialization


def promote_by_hand(
    state: State, lake: Lake, model: NamedModel, spec: "Specialization", by: str, why: str
) -> Promotion:
    """The line of the history, after the model became champion on its newest report.

    Raises:
        PromotionRefused: the verdict is not promote, an approval is missing, or the model is tainted.
        StaleChampion: the report was made against another champion; the message names who won.
        IncompleteArtifact: the model or its report is damaged.
    """
    if not by.strip() or not why.strip():
        raise PromotionRefused(f"{model.name}: a promotion has a name and a reason; give --by and --why.")
    verdict = newest_verdict(state, lake, model)
    lake.artifact("adapter", model.digest)
    decision = promote_if_allowed(
        state,
        model.specialization,
        model.digest,
        verdict,
        by.strip(),
        why=why.strip(),
        needs_approval=spec.release.approval.required,
        again=True,
    )
    if decision.promotion is None:
        raise PromotionRefused(f"{model.name} was not promoted: {decision.why_not}.")
    return decision.promotion

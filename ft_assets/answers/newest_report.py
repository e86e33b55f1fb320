"""The evidence about a model that counts: its newest report."""

from ft_assets.answers.named_models import NamedModel
from ft_assets.errors import PromotionRefused
from ft_assets.lake import Lake
from ft_assets.release.promotion import ReportedVerdict, read_verdict
from ft_assets.state import State
from ft_assets.state_registry import evaluations


def newest_verdict(state: State, lake: Lake, model: NamedModel) -> ReportedVerdict:
    """What the newest report says of the model, after every byte of it was verified.

    Raises:
        PromotionRefused: no report about this model was registered.
        IncompleteArtifact: the report is damaged or gone.
    """
    judged = evaluations(state, model.specialization, model.digest)
    if not judged:
        raise PromotionRefused(
            f"No evaluation of {model.name} is registered, so there is no evidence. "
            "Materialize evaluation_report and registered_model for it."
        )
    return read_verdict(lake.artifact("report", judged[-1].report_digest))

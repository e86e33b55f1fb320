"""What a dossier takes from a line's YAML file."""

from typing import TYPE_CHECKING

from ft_assets.release.dossier_facts import AboutLine
from ft_assets.training.catalogue import resolve

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Specialization


def about_line(spec: "Specialization") -> AboutLine:
    """The line's part of a dossier."""
    return AboutLine(
        description=spec.description,
        base=resolve(spec.base_model).model_dump(exclude={"path"}),
        approval_required=spec.release.approval.required,
        data_licence=spec.release.data_licence,
    )

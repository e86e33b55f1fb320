"""What lets a model into use, beside its verdict, and what its dossier says: `release:` of a specialization."""

from pydantic import BaseModel, Field

from ft_assets.specializations.evaluation_settings import FROZEN


class Approval(BaseModel):
    """Whether a person has to approve a report before its model becomes champion."""

    model_config = FROZEN
    required: bool = Field(default=False, description="Without it a verdict of promote is enough.")
    expires_days: int = Field(default=14, ge=1, le=365, description="How long an approval stands at most.")


class Release(BaseModel):
    """The part `release:` of a specialization."""

    model_config = FROZEN
    approval: Approval = Field(default_factory=Approval)
    data_licence: str = Field(
        default="", description="Licence, consent or contract on which the logged answers are used; for the dossier."
    )

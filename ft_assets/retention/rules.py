"""How long things are kept that nobody needs any more: the section `retention` of FT_ASSETS_RULES."""

from pydantic import BaseModel, ConfigDict, Field


class RetentionRules(BaseModel):
    """Ages in days. What is younger is never deleted, whoever needs it: a run under way may."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    grace_days: float = Field(14, ge=1, description="Age below which no artifact and no older table version goes.")
    snapshots_kept: int = Field(3, ge=1, description="The last snapshots of each line that stay, trained on or not.")
    work_days: float = Field(7, ge=1, description="Checkpoints that nothing was written to for so long go.")
    tokens_days: float = Field(30, ge=1, description="Token caches that nothing has read for so long go.")
    raw_retention_days: int = Field(90, ge=1, description="Unmasked rows and landing files of older days go.")

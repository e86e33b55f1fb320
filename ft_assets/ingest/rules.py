"""How much damage a file may hold before nothing of it is trusted."""

from pydantic import BaseModel, ConfigDict, Field


class IngestRules(BaseModel):
    """When a landing file is too broken to use. Both must be passed, so that short files keep their good lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    max_broken_share: float = Field(
        0.10, ge=0, le=1, description="Largest share of a file's records that may be broken."
    )
    least_broken_lines: int = Field(10, ge=1, description="Fewer broken records than this never stop a file.")

    def too_broken(self, broken: int, records: int) -> bool:
        """True when nothing of a file with so many broken records among all its records may be used."""
        return broken >= self.least_broken_lines and broken > self.max_broken_share * records

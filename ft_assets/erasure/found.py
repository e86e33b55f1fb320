"""What there is of a person: ids of rows, days, snapshots, models. Ids may stay, texts may not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Found:
    """Ids by what they name. `days` are days of the data wing that are to be curated again, `models` learned from the
    rows, `evaluated` were only asked about them."""

    interactions: set[str] = field(default_factory=set)
    examples: set[str] = field(default_factory=set)
    pairs: set[str] = field(default_factory=set)
    contents: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    days: set[str] = field(default_factory=set)
    snapshots: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    evaluated: set[str] = field(default_factory=set)

    @property
    def rows(self) -> set[str]:
        """Ids of rows of snapshots and suites."""
        return self.examples | self.pairs

    def add(self, other: "Found") -> None:
        """Takes in what another search found."""
        for each in fields(self):
            getattr(self, each.name).update(getattr(other, each.name))

    def as_dict(self) -> dict[str, list[str]]:
        """For the journal and for people; sorted."""
        return {each.name: sorted(getattr(self, each.name)) for each in fields(self)}

    @staticmethod
    def of(details: Iterable[Mapping[str, Any]]) -> "Found":
        """What journals of earlier attempts said."""
        found = Found()
        for detail in details:
            found.add(Found(**{each.name: set(detail.get(each.name, ())) for each in fields(Found)}))
        return found

"""Feedback that arrives after the interaction it is about: a record that names one and holds no text of its own."""

from collections.abc import Mapping
from typing import Any

from ft_assets.ingest.field_names import FEEDBACK_NAMES
from ft_assets.ingest.fields import READERS, of_several
from ft_assets.ingest.typed_values import Unreadable, short_text

_KINDS = {"rating": "rating", "expert_verdict": "verdict", "corrected_output": "correction", "outcome": "outcome"}
FEEDBACK_KEYS = frozenset(name for names in FEEDBACK_NAMES.values() for name in names) | {
    "interaction_id",
    "user_id",
    "timestamp",
    "created_at",
    "source",
    "metadata",
    "reviewer",
}


def read_feedback(record: Mapping[str, object], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row of the table `feedback` for each kind of signal in the record. `fields` are its fields, read already.

    Raises:
        Unreadable: a signal of the wrong type or scale; `empty_feedback` when every signal is null or blank, or the
            record names no interaction.
    """
    about = fields.get("interaction_id")
    rows = []
    for field, names in FEEDBACK_NAMES.items():
        value = of_several(field, READERS[field], names, record)
        if value is not None:
            text = f"{value:.10g}" if field == "rating" else value
            rows.append({"interaction_id": about, "kind": _KINDS[field], "value": text})
    reviewer = short_text("reviewer", record["reviewer"]) if record.get("reviewer") is not None else None
    if about and not rows and "reviewer" in record:
        raise Unreadable("not_reviewed", "a row of a review file without a verdict or a correction")
    if not rows or not about:
        missing = "names no interaction" if not about else "holds no signal that is not null or blank"
        raise Unreadable("empty_feedback", f"the record is feedback by its keys, and {missing}")
    more = {name: fields.get(name) for name in ("timestamp", "user_id", "source")}
    more["user_id"] = more["user_id"] or reviewer
    return [row | more for row in rows]

"""What the keys of a record say about it: worked out once per set of keys, because a source has few of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ft_assets.ingest.feedback import FEEDBACK_KEYS
from ft_assets.ingest.field_names import FIELD_NAMES
from ft_assets.ingest.fields import FieldKeys, keys_of_fields
from ft_assets.ingest.formats import Format, candidates, told_by_keys
from ft_assets.ingest.typed_values import plain_name

_MOST_PLANS = 1000  # sets of keys that are remembered
_ONE_ROW = frozenset(["native", "messages", "sharegpt", "transcript", "alpaca", "input_output"])
_plans: dict[tuple[tuple[str, ...], str], "Plan"] = {}


@dataclass(frozen=True, eq=False)  # compared by identity: one per set of keys
class Plan:
    """What a set of keys says about every record that has it."""

    possible: tuple[Format, ...]
    certain: Format | None  # the one possible format, where keys alone tell
    format: str = ""
    source_kind: str = "interaction"
    fields: FieldKeys = ()
    unread: tuple[str, ...] = ()  # keys that nothing reads; whatever is no plain name is called so
    is_plain: bool = False  # the format is certain, makes one row, and each field has one key; the id is among them


def known_fields(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record, with what stands under its metadata where it says nothing itself."""
    metadata = record.get("metadata")
    if not isinstance(metadata, dict):
        return record
    return {**metadata, **{key: value for key, value in record.items() if value is not None}}


def plan_for(known: Mapping[str, Any], record: Mapping[str, Any], shape: Format | None = None) -> Plan:
    """What the keys of `known` say: looked up where a record with the same keys was read before."""
    name = "" if shape is None else shape.name
    keys = (*known, "", *record) if known is not record else tuple(known)
    plan = _plans.get((keys, name))
    if plan is None:
        plan = _make_plan(known, record, shape)
        if len(_plans) < _MOST_PLANS:
            _plans[keys, name] = plan
    return plan


def _make_plan(known: Mapping[str, Any], record: Mapping[str, Any], shape: Format | None) -> Plan:
    possible = tuple(candidates(record))
    certain = told_by_keys(possible)
    shape = shape or certain
    if shape is None:
        return Plan(possible, None)
    own = FEEDBACK_KEYS if shape.name == "feedback" else FIELD_NAMES | shape.keys | shape.also_reads | {"metadata"}
    fields = keys_of_fields([key for key in known if key not in shape.keys or shape.name == "feedback"])
    if shape.name == "feedback":  # its signals are read by their own names, and wider ones
        fields = tuple(entry for entry in fields if entry[0] in ("interaction_id", "timestamp", "user_id", "source"))
    return Plan(
        possible,
        certain,
        shape.name,
        shape.source_kind,
        fields,
        unread=tuple(sorted({plain_name(key) for key in known if key not in own})),
        is_plain=certain is not None
        and certain.name in _ONE_ROW
        and "examples" not in record
        and any(field == "interaction_id" for field, _, _ in fields)
        and all(field == "judge" or len(names) == 1 for field, _, names in fields),
    )

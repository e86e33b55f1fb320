"""The fields that any format may carry beside its turns: their keys and their readers.

Records of one source have the same keys, so the work of looking names up is done once per set of keys, not per record.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ft_assets.ingest import typed_values as read
from ft_assets.ingest.field_names import JUDGE_NAMES, NAMES
from ft_assets.ingest.typed_values import Unreadable

Reader = Callable[[str, object], Any]

READERS: dict[str, Reader] = {
    "interaction_id": read.short_text,
    "timestamp": read.timestamp,
    "user_id": read.short_text,
    "conversation_id": read.short_text,
    "role": read.role,
    "task_type": read.task_type,
    "reasoning_mode": read.reasoning_mode,
    "context": read.long_text,
    "model_version": read.short_text,
    "rating": read.Number(1, 5),
    "expert_verdict": read.verdict,
    "corrected_output": read.long_text,
    "outcome": read.json_text,
    "latency_ms": read.Number(0, 1e12),
    "prompt_tokens": read.count,
    "completion_tokens": read.count,
    "source": read.short_text,
    "source_kind": read.short_text,
    "domain": read.short_text,
    "difficulty": read.short_text,
    "tags": read.tags,
}
JUDGE_READERS: dict[str, Reader] = {name: read.judge("overall") for name in JUDGE_NAMES}
JUDGE_READERS["quality_score"] = read.judge("quality_score")

FieldKeys = tuple[tuple[str, Reader, tuple[str, ...]], ...]  # field, its reader, and the keys it may stand under


def keys_of_fields(keys: Collection[str]) -> FieldKeys:
    """Which fields stand under these keys, in the order of NAMES; the judge's scores last."""
    found = [(field, READERS[field], tuple(name for name in names if name in keys)) for field, names in NAMES.items()]
    judges = tuple(name for name in JUDGE_NAMES if name in keys)
    return tuple(entry for entry in [*found, ("judge", READERS["rating"], judges)] if entry[2])


def read_fields(record: Mapping[str, object], field_keys: FieldKeys) -> dict[str, Any]:
    """The fields that a record holds, typed. Null and absent are the same. Judge scores add up.

    Raises:
        Unreadable: a field has the wrong type or another scale, or two names of the rating disagree.
    """
    fields: dict[str, Any] = {}
    for field, reader, names in field_keys:
        value: Any
        if field == "judge":
            value = [
                score for name in names if record[name] is not None for score in JUDGE_READERS[name](name, record[name])
            ]
        elif len(names) == 1:
            raw = record[names[0]]
            value = None if raw is None else reader(names[0], raw)
        else:
            value = of_several(field, reader, names, record)
        if value is not None:
            fields[field] = value
    return fields


def of_several(field: str, reader: Reader, names: tuple[str, ...], record: Mapping[str, object]) -> Any:
    """The value under the first name that holds one, or None.

    Raises:
        Unreadable: as the reader; `bad_rating` when two names of the rating disagree.
    """
    present = [name for name in names if record.get(name) is not None]
    values = [reader(name, record[name]) for name in (present if field == "rating" else present[:1])]
    if field == "rating" and len(set(values)) > 1:
        raise Unreadable("bad_rating", f"{' and '.join(present)} disagree, so neither can be trusted")
    return values[0] if values else None

"""Validators of a model line: what must hold for its snapshot as a whole. Adding one is a function and a line.

The function takes the summary of the snapshot and the parameter that stands in the YAML file, and answers None or what
is wrong, with the numbers. A snapshot that is not valid is not made.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from ft_assets.dataset.summary import SnapshotSummary

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


def least_rows_per_task(summary: "SnapshotSummary", rows: Count) -> str | None:
    """Each task, those that the selector names included, has at least so many train rows."""
    few = {task: sides["train"] for task, sides in summary.rows_by_task.items() if sides["train"] < rows}
    return f"fewer than {rows} train rows: {', '.join(f'{task} has {n}' for task, n in few.items())}" if few else None


def most_share_of_one_task(summary: "SnapshotSummary", share: Share) -> str | None:
    """No task has more than this share of the train rows."""
    train = summary.rows_by_side["train"]
    task, most = max(((task, sides["train"]) for task, sides in summary.rows_by_task.items()), key=lambda each: each[1])
    if most <= share * train:
        return None
    return f"{task} has {most} of {train} train rows, {most / train:.1%}, more than {share:.1%}"


def least_share_human_verified(summary: "SnapshotSummary", share: Share) -> str | None:
    """At least this share of the train rows was verified by a person."""
    if summary.human_verified_share >= share:
        return None
    return f"{summary.human_verified_share:.1%} of the train rows are verified by a person, less than {share:.1%}"


VALIDATORS: Mapping[str, Any] = MappingProxyType(
    {rule.__name__: rule for rule in (least_rows_per_task, most_share_of_one_task, least_share_human_verified)}
)

"""Days whose unmasked rows are older than `raw_retention_days`, and what follows from their going."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from ft_assets.errors import BadInput
from ft_assets.lake import Lake
from ft_assets.lake_folders import files_below

UNMASKED = ("raw_interactions", "feedback")


def expired_days(lake: Lake, raw_retention_days: int, grace_days: float, now: datetime) -> dict[str, list[str]]:
    """Day to the places that hold unmasked rows of it, for days past retention. A day into which a file landed within
    the grace is left: it may not have been curated yet."""
    last = (now - timedelta(days=raw_retention_days)).date()
    young = (now - timedelta(days=grace_days)).timestamp()
    expired: dict[str, list[str]] = {}
    for day in lake.landing_days():
        keys = [key for key, _ in files_below(lake.folders, f"landing/{day}")]
        if date.fromisoformat(day) < last and all(lake.folders.changed_at(key) < young for key in keys):
            expired.setdefault(day, []).append(f"landing/{day}")
    recent = {day for day in lake.landing_days() if day not in expired}
    for table in UNMASKED:
        for day in lake.fingerprints(table):
            if date.fromisoformat(day) < last and day not in recent:
                expired.setdefault(day, []).append(f"tables/{table}")
    return dict(sorted(expired.items()))


def days_without_raw(lake: Lake) -> set[str]:
    """Days with curated examples whose unmasked rows are gone: they stay as they are and cannot be curated again."""
    if not lake.exists("curated_examples"):
        return set()
    return set(lake.fingerprints("curated_examples")) - set(lake.fingerprints("raw_interactions"))


def refuse_without_raw(lake: Lake, days: Iterable[str], raw_retention_days: int, now: datetime | None = None) -> None:
    """Nothing, where these days can be curated.

    Raises:
        BadInput: the unmasked rows of one are gone; curating it would replace its examples by none.
    """
    last = ((now or datetime.now(UTC)) - timedelta(days=raw_retention_days)).date().isoformat()
    gone = sorted(day for day in days_without_raw(lake).intersection(days) if day < last)
    if gone:
        raise BadInput(
            f"The unmasked rows of {', '.join(gone[:5])}{' and more' if len(gone) > 5 else ''} were deleted after "
            f"raw_retention_days ({raw_retention_days}), so these days cannot be curated again; their examples stay as "
            "they are, and nothing was written. Leave these days out, or land their files once more."
        )

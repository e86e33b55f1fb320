"""Who launched a run, for the record: nobody approves a model of their own."""

import getpass

import dagster as dg

from ft_assets.defs.conventions import SETTINGS

# Where whoever launched it said so; a plain Dagster knows no users.
PERSON_TAGS = ("ft_assets/launched_by", "user")
AUTOMATION_TAGS = {"dagster/sensor_name": "sensor", "dagster/schedule_name": "schedule"}


def launched_by(run: dg.DagsterRun) -> str:
    """A person by the tag `ft_assets/launched_by` or `user`, a sensor or schedule by its name, or on one's own machine
    its account; "" where nobody can tell."""
    for tag in PERSON_TAGS:
        if name := run.tags.get(tag, "").strip():
            return name
    for tag, what in AUTOMATION_TAGS.items():
        if tag in run.tags:
            return f"{what} {run.tags[tag]}"
    try:
        return getpass.getuser() if SETTINGS.execution == "local" else ""
    except (OSError, KeyError):  # an account without a name
        return ""

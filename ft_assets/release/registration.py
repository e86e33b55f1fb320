"""A version of a line, recorded in the state database. MLflow shows it later, from these rows."""

import json
from collections.abc import Collection
from datetime import UTC, datetime

from ft_assets.errors import BadConfiguration
from ft_assets.lake import Artifact
from ft_assets.release.versioning import KNOWN_ROLES, version_name
from ft_assets.state import State
from ft_assets.state_registry import Registered, record_registration, registrations

UNKNOWN_TRAINER = "unknown"


def register_version(
    state: State,
    specialization: str,
    model_type: str,
    base_model: str,
    series: int,
    adapter: Artifact,
    launched_by: str,
    lines: Collection[str] = KNOWN_ROLES,
) -> Registered:
    """The version that this adapter is, from its own provenance; the same one whenever it is asked for again.

    `adapter` was verified against its manifest when it was read. `launched_by` counts where the training itself did
    not record who launched it. `lines` are all model lines, so that the name cannot be read as one of another.

    Raises:
        BadConfiguration: `series` is below that of an earlier version, so the versions would not rise.
    """
    before = registrations(state, specialization)
    for version in before:
        if version.model_digest == adapter.digest:
            return version
    number = state.assign_version(specialization, adapter.digest)
    now = datetime.now(UTC)
    name = version_name(specialization, base_model, number, now.date(), series, lines)
    _refuse_falling(specialization, series, before)
    origin = json.loads((adapter.path / "provenance.json").read_text(encoding="utf-8"))
    trained = [each for each in state.trained(specialization) if each.model_digest == adapter.digest]
    trained_by = next((each.by for each in trained if each.by), launched_by) or UNKNOWN_TRAINER
    return record_registration(
        state,
        Registered(
            specialization=specialization,
            model_digest=adapter.digest,
            number=number,
            version_name=name,
            type=model_type,
            snapshot=origin["snapshot"],
            base_digest=origin["base_digest"],
            recipe_digest=origin["recipe_digest"],
            trained_by=trained_by,
            at=now,
        ),
    )


def _refuse_falling(specialization: str, series: int, before: list[Registered]) -> None:
    for version in before:
        major = int(version.version_name.rsplit("-", 2)[1].removeprefix("v").partition(".")[0])
        if major > series:
            raise BadConfiguration(
                f"{specialization}: version_series is {series}, and {version.version_name} is registered already. "
                f"Versions only rise: set version_series to {major} or more, reload, and materialize registered_model."
            )

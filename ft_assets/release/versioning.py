"""Version names: `ea-[role]-[base_model]-[version]-[timestamp]`, for example ea-software-developer-gpt4-v2.3-20250215.

Roles and base models hold hyphens themselves, so a name can only be read against the ones that are known. A name
is for people; two models of one day can share all five parts but never their digest, which is the identity.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from ft_assets.errors import BadInput
from ft_assets.records import canonical_role

KNOWN_ROLES = ("software-developer", "software-architect", "qa-engineer", "devops-engineer", "product-manager")

# Names that models have elsewhere, by the one they have in a version name. The large closed models cannot be trained
# here, but names that mention them are in circulation and have to be read.
BASE_MODEL_ALIASES = {
    "gpt-4": "gpt4",
    "gpt-4-0125-preview": "gpt4",
    "llama-3": "llama3",
    "mistral7b": "mistral-7b",
}
KNOWN_BASE_MODELS = ("gpt4", "llama3", "mistral-7b", "tiny-base")

NAME = re.compile(r"ea-(?P<who>[a-z0-9][a-z0-9.-]*)-v(?P<major>\d+)\.(?P<minor>\d+)-(?P<day>\d{8})", re.ASCII)
PART = re.compile(r"[a-z0-9]+(?:[.-]+[a-z0-9]+)*")


@dataclass(frozen=True, order=True)
class VersionName:
    """The five parts of a version name, role and base model in their canonical spelling."""

    role: str
    base_model: str
    major: int
    minor: int
    day: date

    def __str__(self) -> str:
        return f"ea-{self.role}-{self.base_model}-{self.version}-{self.day:%Y%m%d}"

    @property
    def version(self) -> str:
        """`v` with major and minor, for example v2.3."""
        return f"v{self.major}.{self.minor}"


def version_name(
    role: str, base_model: str, number: int, day: date, series: int = 1, roles: Collection[str] = KNOWN_ROLES
) -> str:
    """The name of a line's `number`-th model (1, 2, 3 ... of `State.assign_version`): v1.0, v1.1, v1.2 ...

    The minor part rises with every model that is registered; the major part is the `series` of the specialization,
    which a person raises when the line starts anew (another base model, another task). `roles` are the known lines:
    the name is read back against them, so that what is written here can always be parsed.

    Raises:
        BadInput: a part cannot stand in a name, or the name could be read in two ways; the message says which.
    """
    if number < 1 or series < 0:
        raise BadInput(f"Version number {number} of series {series}: numbers start at 1, series at 0.")
    parts = {"role": canonical_role(role) or "", "base model": canonical_base_model(base_model)}
    for what, part in parts.items():
        if not PART.fullmatch(part):
            raise BadInput(
                f"The {what} {part!r} cannot stand in a version name: use a-z, 0-9, and - or . between them."
            )
    day = day.date() if isinstance(day, datetime) else day
    name = VersionName(parts["role"], parts["base model"], series, number - 1, day)
    read_back = parse_version_name(str(name), {*KNOWN_ROLES, *roles, role}, {*KNOWN_BASE_MODELS, base_model})
    if read_back != name:
        raise BadInput(f"{name} would be read back as {read_back}: rename the role or the base model.")
    return str(name)


def canonical_base_model(name: str) -> str:
    """The spelling of a base model in a name: the last part of a hub id or path, a-z, 0-9, dots and hyphens."""
    last = name.strip().lower().rstrip("/").rsplit("/", 1)[-1]
    plain = re.sub(r"[^a-z0-9.]+", "-", last).strip("-.")
    return BASE_MODEL_ALIASES.get(plain, plain)


def parse_version_name(
    name: str, roles: Collection[str] = KNOWN_ROLES, base_models: Collection[str] = KNOWN_BASE_MODELS
) -> VersionName:
    """The parts of a name, read against known roles and base models; aliases of both come back canonical.

    Raises:
        BadInput: the name has another shape, no known role and base model fit it, or two pairs fit (then only the
            digest in the model version's tags can tell).
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise BadInput(f"{name!r} is not a version name: expected ea-[role]-[base_model]-v[major].[minor]-[YYYYMMDD].")
    pairs = _pairs(
        match["who"], {canonical_role(role) or "" for role in roles}, set(map(canonical_base_model, base_models))
    )
    if len(pairs) != 1:
        found = (
            f"{len(pairs)} ways: {sorted(pairs)}"
            if pairs
            else f"no way: roles {sorted(roles)}, bases {sorted(base_models)}"
        )
        raise BadInput(f"{match['who']!r} in {name!r} splits into a known role and a known base model in {found}.")
    try:
        day = datetime.strptime(match["day"], "%Y%m%d").date()
    except ValueError as error:
        raise BadInput(f"{match['day']!r} in {name!r} is not a day written YYYYMMDD.") from error
    role, base_model = pairs.pop()
    return VersionName(role, base_model, int(match["major"]), int(match["minor"]), day)


def _pairs(who: str, roles: Collection[str], base_models: Collection[str]) -> set[tuple[str, str]]:
    splits = [(who[: hyphen.start()], who[hyphen.end() :]) for hyphen in re.finditer("-", who)]
    canonical = {(canonical_role(role) or "", canonical_base_model(base)) for role, base in splits}
    return {(role, base) for role, base in canonical if role in roles and base in base_models}

"""Which model a person means: by version name, by the beginning of a digest, or as specialization@alias."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ft_assets.errors import UnknownModel
from ft_assets.release.mirror import ALIASES, aliases_of
from ft_assets.state import State
from ft_assets.state_registry import registrations

DIGEST_BEGINNING = re.compile(r"[0-9a-f]{4,64}")
HOW = "Name a model by its version name, by at least 4 digits of its digest, or as specialization@champion, "
HOW += "@candidate or @previous."


@dataclass(frozen=True)
class NamedModel:
    """One model of one line; `version_name` is None for a model that was trained and never registered."""

    specialization: str
    digest: str
    version_name: str | None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.version_name or f"{self.digest[:12]} (not registered)"


def find_model(state: State, text: str) -> NamedModel:
    """The one model that `text` names.

    Raises:
        UnknownModel: there is none, or more than one; the message lists those, or names that are near.
    """
    text = text.strip()
    known = known_models(state)
    if not known:
        raise UnknownModel(
            f"No model is called {text!r}: the state database {state.place} knows none yet. Where models are known, "
            "FT_ASSETS_LAKE and FT_ASSETS_STATE_URL name the place."
        )
    if "@" in text:
        return _by_alias(state, text, known)
    if named := [model for model in known if model.version_name == text]:
        return _only(named, text)
    if DIGEST_BEGINNING.fullmatch(text) and (found := [model for model in known if model.digest.startswith(text)]):
        return _only(found, text)
    names = [model.version_name for model in known if model.version_name]
    raise UnknownModel(f"No model is called {text!r}.{_near(text, names) or _newest(names)} {HOW}")


def find_line(text: str, lines: Collection[str]) -> str:
    """The specialization of that name.

    Raises:
        UnknownModel: there is none; the message names those that there are.
    """
    if text in lines:
        return text
    listed = ", ".join(sorted(lines))
    raise UnknownModel(f"There is no specialization {text!r}.{_near(text, lines)} There are: {listed}.")


def find_line_with_a_model(text: str, known: Collection[NamedModel]) -> str:
    """The specialization of that name, as far as one of these models is of it.

    Raises:
        UnknownModel: there is none, or it has no model yet; the message names those that have one.
    """
    lines = {model.specialization for model in known}
    if text in lines:
        return text
    listed = ", ".join(sorted(lines)) or "none"
    raise UnknownModel(f"No model of a specialization {text!r} is known.{_near(text, lines)} Lines with one: {listed}.")


def known_models(state: State) -> list[NamedModel]:
    """Every model that was registered, trained or promoted, oldest first."""
    found = {
        (each.specialization, each.model_digest): NamedModel(each.specialization, each.model_digest, each.version_name)
        for each in registrations(state)
    }
    for trained in state.trained():
        key = (trained.specialization, trained.model_digest)
        found.setdefault(key, NamedModel(*key, None))
    return list(found.values())


def name_of(state: State, specialization: str, digest: str | None) -> str | None:
    """What to call a model of which only the digest is known; None for none."""
    if digest is None:
        return None
    names = {each.model_digest: each.version_name for each in registrations(state, specialization)}
    return names.get(digest, digest[:12])


def _by_alias(state: State, text: str, known: Sequence[NamedModel]) -> NamedModel:
    line, alias = text.rsplit("@", 1)
    if alias not in ALIASES:
        raise UnknownModel(f"{text!r}: there is no alias {alias!r}. {HOW}")
    line = find_line_with_a_model(line, known)
    digest = aliases_of(state, line)[alias]
    if digest is None:
        raise UnknownModel(f"{line} has no {alias} yet.{_newest(m.name for m in known if m.specialization == line)}")
    matching = [model for model in known if (model.specialization, model.digest) == (line, digest)]
    return matching[0] if matching else NamedModel(line, digest, None)


def _only(found: list[NamedModel], text: str) -> NamedModel:
    if len(found) > 1:
        listed = "; ".join(f"{model.digest[:16]} {model.name} of {model.specialization}" for model in found[:10])
        raise UnknownModel(f"{text!r} could be {len(found)} models: {listed}. Write more of the digest.")
    return found[0]


def _near(text: str, names: Collection[str]) -> str:
    near = get_close_matches(text, names, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _newest(names: Iterable[str]) -> str:
    newest = list(names)[-3:]
    return f" The newest are {', '.join(reversed(newest))}." if newest else " None was registered yet."

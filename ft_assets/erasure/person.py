"""The person who is to be forgotten, as sources spell them, and how they are found in records and columns."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl

from ft_assets.curation.identity import pseudonym
from ft_assets.forgotten_users import UserHash, plain_user
from ft_assets.user_names import same_user

USER_KEYS = frozenset(["user_id", "reviewer"])  # where a record says who asked, rated or annotated
DEEPEST = 40
LONG_NAME = 8  # a shorter one may stand inside other words
WORD = re.compile(r"[\w.:@-]")


@dataclass(frozen=True)
class Person:
    """`plain` is the one spelling of their name, `hash` what is kept of it. `pseudonyms` stand for it where a name that
    is an e-mail address was masked."""

    plain: str
    hash: str
    key_check: str
    pseudonyms: frozenset[str] = field(default_factory=frozenset)

    @staticmethod
    def named(name: str, user_hash: UserHash) -> "Person":
        """Who goes by that name.

        Raises:
            BadInput: the name is empty.
        """
        plain = plain_user(name)
        aliases = frozenset(pseudonym(each) for each in (name, plain))
        return Person(plain, user_hash.of(plain), user_hash.check, aliases)

    def goes_by(self, name: object) -> bool:
        """Whether a value that stands where a user's name does means this person."""
        return isinstance(name, str | int) and (_spelled(str(name)) == self.plain or name in self.pseudonyms)

    def stands_in(self, text: str) -> bool:
        """Whether a text that nobody can parse names this person."""
        is_long = len(self.plain) >= LONG_NAME and self.plain in spelled(text)
        return is_long or stands_in(self.plain, unicodedata.normalize("NFKC", text).lower())

    def in_column(self, column: str) -> pl.Expr:
        """The rows whose `column` names this person; never null."""
        named = (same_user(pl.col(column)) == self.plain) | pl.col(column).is_in(list(self.pseudonyms))
        return named.fill_null(False)


def spelled(name: str) -> str:
    """As `same_user`, for one name; "" where nothing is left of it."""
    plain = unicodedata.normalize("NFKC", name)
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) != "Cf").lower()


_spelled = lru_cache(maxsize=100_000)(spelled)  # the same few names stand in all records


def stands_in(name: str, text: str) -> bool:
    """Whether a name or an id stands there by itself: log-12 does not stand in log-123."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not (at and WORD.match(text[at - 1])) and not (end < len(text) and WORD.match(text[end])):
            return True
        at = text.find(name, at + 1)
    return False


def names_in(record: object, depth: int = 0) -> Iterator[object]:
    """Everybody whom a record names, at any depth: whoever asked, and annotators inside it."""
    if depth > DEEPEST:
        return
    if isinstance(record, Mapping):
        for key, value in record.items():
            if key in USER_KEYS and not isinstance(value, Mapping | list):
                yield value
            else:
                yield from names_in(value, depth + 1)
    elif isinstance(record, list):
        for value in record:
            yield from names_in(value, depth + 1)


def strings_in(value: object, depth: int = 0) -> Iterator[str]:
    """Every text inside a JSON value, keys left out."""
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from strings_in(inner, depth + 1)

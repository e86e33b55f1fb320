"""Recognises the users who asked to be forgotten, by a keyed hash: HMAC-SHA256 (RFC 2104) of the name, as `same_user`
spells it, under a key derived from FT_ASSETS_SPLIT_KEY, the one secret that every installation keeps for good."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ft_assets.errors import BadConfiguration, BadInput
from ft_assets.state_forgotten import forget_journal, forgotten_hashes

if TYPE_CHECKING:
    import polars as pl

    from ft_assets.state import State

PURPOSE, CHECK = b"ft_assets forgotten users", b"which key is this?"


@dataclass(frozen=True)
class UserHash:
    """The hash of user names under one secret."""

    secret: str

    @cached_property
    def _key(self) -> bytes:
        """A key of its own, so that no hash made for another purpose tells anything about these."""
        return hmac.digest(self.secret.encode(), PURPOSE, "sha256")

    @property
    def check(self) -> str:
        """Sixteen hexadecimal digits that tell whether a hash was made with this secret."""
        return hmac.digest(self._key, CHECK, "sha256").hex()[:16]

    def of(self, plain_name: str) -> str:
        """64 hexadecimal digits. `plain_name` is spelled as `same_user` does."""
        return hmac.digest(self._key, b"user " + plain_name.encode(), "sha256").hex()

    def of_user(self, name: str) -> str:
        """The hash of a name, however it is spelled.

        Raises:
            BadInput: nothing is left of the name without blanks and invisible characters.
        """
        return self.of(plain_user(name))


def plain_user(name: str) -> str:
    """The one spelling of a user's name.

    Raises:
        BadInput: nothing is left of it.
    """
    import polars as pl

    from ft_assets.user_names import same_user

    plain = pl.Series("user", [name], pl.String).to_frame().select(same_user(pl.col("user"))).item()
    if plain is None:
        raise BadInput("The user's name is empty, so nobody is meant. Write it as it stands in user_id.")
    return str(plain)


@dataclass(frozen=True)
class ForgottenUsers:
    """Those who asked, never by name. `interactions` are ids of answers that were theirs, by which a late copy or a
    late review of them is known."""

    hashes: frozenset[str]
    user_hash: UserHash
    interactions: frozenset[str] = frozenset()

    def among(self, user_ids: "pl.Series") -> "pl.Series":
        """The distinct ones of these ids that belong to somebody who asked. Hashes each distinct name once."""
        import polars as pl

        from ft_assets.user_names import same_user

        distinct = user_ids.drop_nulls().unique().rename("user").to_frame()
        plain = distinct.with_columns(plain=same_user(pl.col("user"))).drop_nulls("plain")
        known = [self.user_hash.of(name) in self.hashes for name in plain["plain"]]
        return plain["user"].filter(pl.Series(known, dtype=pl.Boolean))


def forgotten_users(state: "State", secret: str) -> ForgottenUsers | None:
    """Everybody who asked to be forgotten; None while nobody did, so that nothing is computed.

    Raises:
        BadConfiguration: they were hashed with another secret; set FT_ASSETS_SPLIT_KEY to what it was.
    """
    found, user_hash = forgotten_hashes(state), UserHash(secret)
    refuse_other_key(found.values(), user_hash)
    if not found:
        return None
    lists = [entry.detail.get("interactions", ()) for entry in forget_journal(state)]
    return ForgottenUsers(frozenset(found), user_hash, frozenset(name for names in lists for name in names))


def refuse_other_key(checks: Iterable[str], user_hash: UserHash) -> None:
    """Nothing, while every hash was made with this secret.

    Raises:
        BadConfiguration: one was not.
    """
    others = sum(check != user_hash.check for check in checks)
    if others:
        raise BadConfiguration(
            f"{others} forgotten users were hashed with another FT_ASSETS_SPLIT_KEY than today's, so they would not be "
            "recognised and their rows would come back. Nothing was read. Set the variable to what it was."
        )

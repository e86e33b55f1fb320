"""Who is one and the same user: clients send ids as text, and a capital or a blank must not make a second voter."""

import polars as pl


def same_user(ids: pl.Expr) -> pl.Expr:
    """The ids without case, blanks, invisible characters and Unicode variants; null where nothing is left.

    Two accounts stay two users: who registers a thousand of them is limited by their source, if at all.
    """
    plain = ids.str.normalize("NFKC").str.replace_all(r"[\s\p{Cf}]+", "").str.to_lowercase()
    return pl.when(plain != "").then(plain)

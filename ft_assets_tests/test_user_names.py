import polars as pl

from ft_assets.user_names import same_user


def test_spellings_are_one_user_and_blanks_are_nobody() -> None:
    given = ["Jane", " jane", "JA NE", "ｊａｎｅ", "ja\u200bne", "jan", "  ", "\u200b", None]
    ids = pl.DataFrame({"user": given}).select(same_user(pl.col("user")))["user"].to_list()
    assert ids == ["jane"] * 5 + ["jan", None, None, None]

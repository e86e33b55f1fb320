"""Which answers of a day are judged, and their text: masked, because it leaves the house."""

import hashlib
from collections.abc import Iterator

import polars as pl

from ft_assets.curation.compose import composed, is_corrected
from ft_assets.curation.identity import answer_text, prompt_and_example_digest
from ft_assets.curation.masking import masked, normalised
from ft_assets.curation.pii import may_hold_secret, still_secret
from ft_assets.curation.turns import Conversation, conversations
from ft_assets.judge_rules import JudgeRules

SLICE_ROWS = 20_000  # bounds the Python objects that live at once
ITEMS = {
    "interaction_id": pl.String,
    "day": pl.String,
    "content_id": pl.String,
    "question": pl.String,
    "answer": pl.String,
    "may_ask": pl.Boolean,  # False: only a score that is known already counts
    "secret": pl.Boolean,  # something is left that the masker should have taken; it must not be sent
}


def judged_items(raw: pl.DataFrame, rules: JudgeRules) -> pl.DataFrame:
    """One row per answer of `raw` (RAW_SCHEMA, feedback laid over it) that is to be judged, with the columns ITEMS.

    The answer that was given is judged, as curation masks it. A corrected one is not asked about any more, because
    the correction takes its place; a score it has from before stays, to be compared with what the expert said. Of the
    others, `rules.fraction` are taken by a hash of their id: a higher fraction keeps all that a lower one took.
    `content_id` is the SHA-256 of the masked turns; each row has placeholders of its own, so that it does not change
    with the other rows of its conversation.
    """
    last = pl.col("messages").list.last().struct
    calls = last.field("tool_calls").fill_null("") != ""
    answered = (last.field("role") == "assistant") & (last.field("content").str.contains(r"\S") | calls)
    wanted = raw.filter(answered.fill_null(False)).with_columns(
        may_ask=~is_corrected(),
        corrected_output=pl.lit(None, pl.String),
        conversation_id=pl.lit(None, pl.String),
    )
    chosen = pl.Series([_is_chosen(name, rules.fraction) for name in wanted["interaction_id"]], dtype=pl.Boolean)
    parts = [_items(part) for part in wanted.filter(chosen).iter_slices(SLICE_ROWS)]
    return pl.concat([pl.DataFrame(schema=ITEMS), *parts])


def _items(raw: pl.DataFrame) -> pl.DataFrame:
    turns = masked(normalised(composed(raw)), raw, {}).turns
    secret = _rows_with_secrets(turns)
    found = list(_texts(conversations(turns, raw.height)))
    texts = pl.DataFrame(found, schema=dict.fromkeys(("content_id", "question", "answer"), pl.String), orient="row")
    named = pl.concat([raw.select("interaction_id", "day", "may_ask"), texts], how="horizontal")
    return named.with_row_index("row").with_columns(secret=pl.col("row").is_in(secret)).select(list(ITEMS))


def _texts(its_turns: Iterator[Conversation]) -> Iterator[tuple[str, str, str]]:
    for conversation in its_turns:
        asked = [
            "\n".join(filter(None, (f"({role})", content, calls)))
            for role, content, calls in zip(*(column[:-1] for column in conversation), strict=True)
        ]
        yield prompt_and_example_digest(conversation)[1], "\n\n".join(asked), answer_text(conversation)


def _rows_with_secrets(turns: pl.DataFrame) -> list[int]:
    """The rows in which the masker left something. There should be none; a last look before text leaves the house."""
    text = pl.concat_str("content", pl.col("tool_calls").fill_null(""), separator="\n")
    seen = turns.select("row", text=text).filter(pl.col("text").map_batches(may_hold_secret, return_dtype=pl.Boolean))
    return sorted({row for row, its_text in seen.iter_rows() if still_secret(its_text)})


def _is_chosen(interaction_id: str, fraction: float) -> bool:
    digest = hashlib.sha256(f"judge\x1f{interaction_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64

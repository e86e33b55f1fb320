"""Normalising and masking whole columns: Python looks only at the texts in which something could be found."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import polars as pl

from ft_assets.curation.identity import pseudonym
from ft_assets.curation.normalise import may_need_normalising, normalise_text
from ft_assets.curation.pii import Masker, may_hold_secret, still_secret
from ft_assets.curation.turns import flat

LABELS = ("role", "task_type", "domain", "source", "source_kind", "model_version", "difficulty")
NAMES = ("user_id", "conversation_id")
SAMPLED_ROWS = 100
_IN_JSON = r"\\|[0-9][0-9 ().\-/]{4,}[0-9]|<[A-Z_]{2,20}_[0-9]"
_PLACEHOLDER = r"<[A-Z_]{2,20}_[0-9]"  # logs that were masked before they came keep their numbers


@dataclass(frozen=True)
class Masked:
    """Turns without secrets, what replaces labels, tags and criteria, and the replacements per row by kind."""

    turns: pl.DataFrame
    rows: pl.DataFrame
    counts: dict[int, Counter[str]]


def normalised(turns: pl.DataFrame) -> pl.DataFrame:
    """The flat turns with every content in its one spelling."""
    content = turns["content"]
    odd = may_need_normalising(content).arg_true()
    if not len(odd):
        return turns
    mended = pl.Series("content", [normalise_text(text) for text in content.gather(odd)], dtype=pl.String)
    return turns.with_columns(content.scatter(odd, mended))


Maskers = dict[tuple[str, str], Masker]  # one for each conversation of a day


def masked(turns: pl.DataFrame, raw: pl.DataFrame, shared: Maskers) -> Masked:
    """The flat turns and the rows of `raw` masked, rows of one day's conversation with the same placeholders.

    `shared` gets a masker per conversation; pass the same one for the next slice of a day.
    Turns in which nothing can be found are not looked at. Names that are personal data become pseudonyms.
    """
    rows = raw.with_columns(_pseudonyms(raw[name]) for name in NAMES)
    content = turns["content"]
    suspicious = may_hold_secret(content) | content.str.contains(_PLACEHOLDER) | _suspicious_calls(turns["tool_calls"])
    its_turns = turns.with_row_index("place").filter(suspicious)
    labelled = sorted(_rows_with_secret_labels(rows))
    maskers = _maskers(rows, sorted({*its_turns["row"], *labelled}), shared)
    for number, text in its_turns.select("row", "content").iter_rows():
        maskers[number].reserve(text)
    new_turns, counts = _masked_turns(its_turns, maskers)
    new_rows = _masked_labels(rows, labelled, maskers, counts)
    turns = turns.with_columns(_scattered(turns[name], new) for name, new in new_turns.items())
    return Masked(turns, rows.with_columns(_scattered(rows[name], new) for name, new in new_rows.items()), counts)


def _suspicious_calls(calls: pl.Series) -> pl.Series:
    """Whether the JSON text of calls has to be taken apart: something may be in it, or be hidden by an escape.

    Only the escaped quotation marks of arguments in a string are undone here. A run of digits may be told by its key.
    """
    suspicious = calls.is_not_null()
    made = suspicious.arg_true()
    if not len(made):
        return suspicious
    plain = calls.gather(made).str.replace_all('\\"', '"', literal=True)
    found = may_hold_secret(plain) | may_need_normalising(plain) | plain.str.contains(_IN_JSON)
    return suspicious.scatter(made, found)


def _maskers(rows: pl.DataFrame, numbers: list[int], shared: Maskers) -> dict[int, Masker]:
    """One masker per row, the same for the rows of one conversation of a day."""
    maskers = {}
    conversations = rows[numbers].select("day", "conversation_id").iter_rows()
    for number, (day, conversation) in zip(numbers, conversations, strict=True):
        maskers[number] = shared.setdefault((day, conversation), Masker()) if conversation else Masker()
    return maskers


def _masked_turns(
    its_turns: pl.DataFrame, maskers: dict[int, Masker]
) -> tuple[dict[str, dict[int, object]], dict[int, Counter[str]]]:
    new: dict[str, dict[int, object]] = {"content": {}, "tool_calls": {}}
    counts: dict[int, Counter[str]] = {}
    rows = its_turns.select("row", "place", "content", "tool_calls").iter_rows()
    for number, group in groupby(rows, key=itemgetter(0)):
        masker = maskers[number]
        for _, place, content, calls in group:
            new["content"][place] = masker.mask(content)
            if calls is not None:
                new["tool_calls"][place] = masker.mask_json(calls)
        counts[number] = masker.take_counts()
    return new, counts


def _masked_labels(
    rows: pl.DataFrame, numbers: list[int], maskers: dict[int, Masker], counts: dict[int, Counter[str]]
) -> dict[str, dict[int, object]]:
    new: dict[str, dict[int, object]] = {name: {} for name in (*LABELS, "tags", "judge")}
    its_rows = rows[numbers].select(*LABELS, "tags", "judge").iter_rows(named=True)
    for number, row in zip(numbers, its_rows, strict=True):
        masker = maskers[number]
        new["tags"][number] = [masker.mask(tag) for tag in row["tags"] or []]
        new["judge"][number] = [{**each, "criterion": masker.mask(each["criterion"])} for each in row["judge"] or []]
        for name in LABELS:
            new[name][number] = masker.mask(row[name]) if row[name] else row[name]
        counts[number] = counts.get(number, Counter()) + masker.take_counts()
    return new


def _scattered(column: pl.Series, new: dict[int, object]) -> pl.Series:
    """The column with the values at these places replaced."""
    if not new:
        return column
    if not isinstance(column.dtype, pl.List):
        return column.scatter(list(new), pl.Series(list(new.values()), dtype=column.dtype))
    values = column.to_list()
    for place, value in new.items():
        values[place] = value
    return pl.Series(column.name, values, dtype=column.dtype)


def _pseudonyms(names: pl.Series) -> pl.Series:
    """Names as they are, unless one is an e-mail address or the like: then a stable pseudonym."""
    known = names.drop_nulls().unique()
    secret = [name for name in known.filter(may_hold_secret(known)) if still_secret(name)]
    return names.replace(secret, [pseudonym(name) for name in secret]) if secret else names


def _rows_with_secret_labels(rows: pl.DataFrame) -> set[int]:
    found: set[int] = set()
    for name in LABELS:
        found |= _rows_of(rows[name], rows[name].to_frame("label").with_row_index("row"))
    tags = rows.select(label="tags").with_row_index("row").explode("label")
    criteria = rows.select(label=pl.col("judge").list.eval(pl.element().struct.field("criterion")))
    criteria = criteria.with_row_index("row").explode("label")
    return found | _rows_of(tags["label"], tags) | _rows_of(criteria["label"], criteria)


def _rows_of(labels: pl.Series, numbered: pl.DataFrame) -> set[int]:
    known = labels.drop_nulls().unique()
    secret = known.filter(may_hold_secret(known) | known.str.contains(_PLACEHOLDER))
    return set(numbered.filter(pl.col("label").is_in(secret.to_list()))["row"].to_list()) if len(secret) else set()


def secrets_left(examples: pl.DataFrame) -> dict[str, list[str]]:
    """example_id to the kinds that still stand in its messages; empty when the masking was whole.

    All texts pass the prefilter, and those that it lets through every detector. Texts of SAMPLED_ROWS rows meet every
    detector in any case, so that a hole in the prefilter does not hide itself.
    """
    turns = flat(examples["messages"])
    text = turns.select(text=pl.concat_str("content", pl.col("tool_calls").fill_null(""), separator="\n"))["text"]
    step = max(1, examples.height // SAMPLED_ROWS)
    looked_at = may_hold_secret(text) | (turns["row"] % step == 0)
    found: dict[str, set[str]] = {}
    for row, its_text in turns.select("row").with_columns(text).filter(looked_at).iter_rows():
        if kinds := still_secret(its_text):
            found.setdefault(examples["example_id"][row], set()).update(kinds)
    return {name: sorted(kinds) for name, kinds in found.items()}

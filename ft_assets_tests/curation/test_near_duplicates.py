import hashlib
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.curation.near_duplicates import Assignment, PublishedIds, assign, exact_copies
from ft_assets.curation.segment import Segment, key_words
from ft_assets.curation.shingles import fingerprint
from ft_assets.errors import IncompleteArtifact
from ft_assets_tests.curation.test_shingles import similar


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Row:
    prompt: str
    answer: str
    conversation: str = ""
    key: str = ""  # of the prompt
    id: str = field(default="", compare=False)

    @property
    def example(self) -> str:
        return digest_of(self.id or f"{self.prompt}|{self.answer}")


@dataclass
class Day:
    rows: list[Row]
    found: Assignment
    segment: Segment

    @property
    def clusters(self) -> list[str]:
        return self.found.cluster_id.to_list()


def keys(names: list[str]) -> np.ndarray:
    hashed = [digest_of(name) if name else None for name in names]
    return key_words(pl.Series(hashed, dtype=pl.String))


def process(rows: list[Row], history: list[Segment], published: PublishedIds | None = None) -> Day:
    new = fingerprint(
        pl.Series([row.prompt for row in rows], dtype=pl.String),
        pl.Series([row.answer for row in rows], dtype=pl.String),
    )
    ids = pl.Series([row.example for row in rows], dtype=pl.String)
    key_columns = keys([row.conversation for row in rows]), keys([row.key for row in rows])
    found = assign(new, ids, *key_columns, published, history)
    return Day(rows, found, Segment.build(new, ids, *key_columns, found.cluster_id, found.duplicate_group))


def stored(segment: Segment) -> bytes:
    return b"".join(segment.parts())


def published(day: Day, rows: list[Row]) -> PublishedIds:
    """What the day published, for those rows that it had."""
    before = {row.example: at for at, row in enumerate(day.rows)}
    at = [before.get(row.example) for row in rows]
    columns = (day.found.cluster_id, day.found.linked_clusters, day.found.duplicate_group)
    return PublishedIds(*(column.gather(pl.Series(at, dtype=pl.UInt32)) for column in columns))


def linked(one: Row, other: Row) -> bool:
    return (
        (one.conversation == other.conversation != "")
        or (one.key == other.key != "")
        or (similar(one.prompt, other.prompt) and similar(one.answer, other.answer))
    )


def expected(rows: list[Row]) -> list[tuple[str, set[str], str]]:
    """Cluster, linked clusters and group of each row by comparing all pairs, as the definition says it."""
    out: list[tuple[str, set[str], str]] = []
    for at, row in enumerate(rows):
        earlier = [other for other in range(at) if linked(row, rows[other])]
        near = [
            other
            for other in earlier
            if similar(row.prompt, rows[other].prompt) and similar(row.answer, rows[other].answer)
        ]
        cluster = out[earlier[0]][0] if earlier else row.example
        group = out[near[0]][2] if near else row.example
        out.append((cluster, {out[other][0] for other in earlier} - {cluster}, group))
    return out


def flat(days: list[Day]) -> list[tuple[str, set[str], str]]:
    return [
        (cluster, set(others), group)
        for day in days
        for cluster, others, group in zip(
            day.clusters, day.found.linked_clusters, day.found.duplicate_group, strict=True
        )
    ]


def sentence(rng: random.Random, words: int) -> list[str]:
    return [f"w{rng.randrange(5000)}" for _ in range(words)]


def chat_rows(seed: int, count: int) -> list[Row]:
    """Rows of which half are linked with others: edited copies, shared conversations, shared prompts."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        prompt, answer = sentence(rng, rng.choice((0, 3, 30))), sentence(rng, rng.choice((1, 4, 60)))
        if rows and rng.random() < 0.35:
            source = rng.choice(rows)
            prompt, answer = source.prompt.split(), source.answer.split()
            for said in (prompt, answer):
                if len(said) > 20 and rng.random() < 0.5:
                    said[rng.choice((0, 1, 10, -1))] = f"edit{number}"
        conversation = f"c{rng.randrange(count)}" if rng.random() < 0.3 else ""
        key = f"p{rng.randrange(count)}" if rng.random() < 0.3 else ""
        rows.append(Row(" ".join(prompt), " ".join(answer), conversation, key, id=f"{seed}:{number}"))
    return rows


def in_days(rows: list[Row], days: int) -> list[Day]:
    done: list[Day] = []
    for at in range(days):
        part = rows[at * len(rows) // days : (at + 1) * len(rows) // days]
        done.append(process(part, [day.segment for day in done]))
    return done


@settings(deadline=None, max_examples=40, derandomize=True)  # the one in 10,000 pairs that no band brings together
@given(st.integers(0, 1 << 30), st.integers(1, 60), st.integers(1, 5))
def test_ids_are_those_that_comparing_all_pairs_gives_in_one_batch_or_in_days(seed: int, count: int, days: int) -> None:
    rows = chat_rows(seed, count)
    assert flat(in_days(rows, days)) == expected(rows)


def test_linked_rows_share_a_cluster_or_the_later_one_names_the_other() -> None:
    rows = chat_rows(7, 400)
    found = flat(in_days(rows, 4))
    pairs = [(i, j) for i in range(len(rows)) for j in range(i) if linked(rows[i], rows[j])]
    assert len(pairs) > 200
    assert all(found[j][0] in {found[i][0]} | found[i][1] for i, j in pairs)
    assert any(others for _, others, _ in found)


def test_prompts_alone_or_answers_alone_make_no_near_duplicates() -> None:
    rng = random.Random(1)
    prompt, answer = " ".join(sentence(rng, 40)), " ".join(sentence(rng, 80))
    rows = [
        Row(prompt, answer),
        Row(prompt, "something else"),
        Row("another question", answer),
        Row(prompt, answer + "!"),
    ]
    rows[3] = Row(prompt, answer + "!", id="again")
    assert process(rows, []).clusters == [rows[0].example, rows[1].example, rows[2].example, rows[0].example]


def test_a_row_between_two_clusters_takes_the_first_and_names_the_second() -> None:
    rows = [Row("a", "x", "one"), Row("b", "y", "two"), Row("c", "z", "two", "p"), Row("d", "u", "one", "p")]
    day = process(rows, [])
    first, second = rows[0].example, rows[1].example
    assert day.clusters == [first, second, second, first]
    assert day.found.linked_clusters.to_list() == [[], [], [], [second]]
    assert day.found.duplicate_group.to_list() == [row.example for row in rows]


def test_no_rows_and_an_empty_day_in_history_are_nothing_special(tmp_path: Path) -> None:
    nothing = process([], [])
    path = tmp_path / "empty"
    path.write_bytes(stored(nothing.segment))
    day = process([Row("a", "b")], [nothing.segment, Segment.open(path)])
    assert nothing.clusters == [] and day.clusters == day.found.duplicate_group.to_list() == [day.rows[0].example]
    assert process([], [day.segment]).clusters == []


def test_a_backfilled_day_takes_the_ids_of_rows_that_were_processed_first() -> None:
    """In order, the older day's row names the cluster; backfilled, the newer one did already and keeps it."""
    rng = random.Random(2)
    prompt, answer = sentence(rng, 30), sentence(rng, 60)
    older = [Row(" ".join(prompt), " ".join(answer), id="older")]
    newer = [Row(" ".join(prompt), " ".join([*answer, "indeed"]), id="newer")]
    in_order = in_days(older + newer, 2)
    assert [day.clusters for day in in_order] == [[older[0].example], [older[0].example]]
    first = process(newer, [])
    backfilled = process(older, [first.segment])
    assert first.clusters == backfilled.clusters == backfilled.found.duplicate_group.to_list() == [newer[0].example]


def test_backfilling_changes_names_and_never_which_plain_copies_belong_together() -> None:
    rows = [Row(row.prompt, row.answer, id=row.id) for row in chat_rows(11, 200)]
    days = [rows[:100], rows[100:]]
    in_order = flat([first := process(days[0], []), process(days[1], [first.segment])])
    late = [second := process(days[1], []), process(days[0], [second.segment])]
    backfilled = flat(late[::-1])
    alone = [row for row, (_, others, _) in zip(in_order, backfilled, strict=True) if not row[1] and not others]
    assert len(alone) > 100
    for found in (in_order, backfilled):
        assert all(cluster in {row.example for row in rows} for cluster, _, _ in found)
    assert [c for c, _, _ in in_order] != [c for c, _, _ in backfilled]


def test_a_day_that_is_recomputed_keeps_its_published_ids_and_its_late_rows_join_them() -> None:
    rows = chat_rows(5, 120)
    days = in_days(rows, 3)
    late = [Row(row.prompt, row.answer, row.conversation, row.key, id=f"late {row.id}") for row in days[1].rows[:10]]
    mixed = late[:5] + days[1].rows + late[5:]
    history = [days[0].segment, days[2].segment]
    again = process(mixed, history, published(days[1], mixed))
    found, before = dict(zip((row.example for row in mixed), flat([again]), strict=True)), flat([days[1]])
    assert [found[row.example] for row in days[1].rows] == before
    for row in late:
        original = found[Row(row.prompt, row.answer, id=row.id.removeprefix("late ")).example]
        assert original[0] in {found[row.example][0]} | found[row.example][1]
    assert len(again.segment) == len(mixed)
    everything = [*days[0].rows, *days[2].rows, *days[1].rows]
    ids = flat([days[0], days[2], days[1]])
    for row in late:
        own = found[row.example]
        touched = {ids[at][0] for at, other in enumerate(everything) if linked(row, other)}
        assert touched <= {own[0]} | own[1]


def test_recomputing_without_change_gives_the_same_segment() -> None:
    rows = chat_rows(6, 90)
    days = in_days(rows, 3)
    again = process(days[2].rows, [days[0].segment, days[1].segment], published(days[2], days[2].rows))
    assert stored(again.segment) == stored(days[2].segment)


def test_a_day_in_slices_is_the_day_at_once() -> None:
    rows = chat_rows(8, 150)
    yesterday = process(rows[:50], [])
    slices: list[Day] = []
    for at in (50, 85, 86):
        part = rows[at : {50: 85, 85: 86, 86: 150}[at]]
        slices.append(process(part, [yesterday.segment, *(each.segment for each in slices)]))
    whole = process(rows[50:], [yesterday.segment])
    assert flat(slices) == flat([whole])
    assert stored(Segment.joined([each.segment for each in slices])) == stored(whole.segment)


def test_exact_copies_are_found_in_history_and_in_the_batch() -> None:
    first, second = process([Row("a", "b"), Row("c", "d")], []), process([Row("e", "f"), Row("a", "b")], [])
    ids = pl.Series([Row(*pair).example for pair in [("new", "x"), ("a", "b"), ("e", "f"), ("new", "x"), ("new", "y")]])
    found = exact_copies(ids, [first.segment, second.segment])
    assert found.segment.tolist() == [-1, 0, 1, 2, -1]
    assert found.row.tolist() == [-1, 0, 0, 0, -1]
    assert exact_copies(ids[:0], [first.segment]).row.tolist() == []


@pytest.mark.slow
def test_a_segment_that_another_process_wrote_is_used_as_if_it_never_left_memory(tmp_path: Path) -> None:
    rows = chat_rows(9, 60)
    script = (
        "from pathlib import Path; from ft_assets_tests.curation.test_near_duplicates import *; "
        "Path(sys.argv[1]).write_bytes(stored(process(chat_rows(9, 60)[:30], []).segment))"
    )
    path = tmp_path / "segment"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=os.environ | {"PYTHONHASHSEED": "3"})
    here = process(rows[:30], [])
    there = Segment.open(path)
    assert stored(there) == stored(here.segment)
    assert flat([process(rows[30:], [there])]) == flat([process(rows[30:], [here.segment])]) == expected(rows)[30:]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content[:-1], "cut off"),
        (lambda content: content + b"x", "bytes where"),
        (lambda content: content[:30], "not a segment"),
        (lambda content: b"", "not a segment"),
        (lambda content: b"PAR1" + content[4:], "not a segment"),
        (lambda content: content[:20] + b"\xff" + content[21:], "checksum"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_says_that_it_is_made_again(tmp_path: Path, damage, says: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "segment"
    path.write_bytes(damage(stored(process([Row("a", "b", "c", "d")], []).segment)))
    with pytest.raises(IncompleteArtifact, match=says) as caught:
        Segment.open(path)
    assert "made again" in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["same answer", "same prompt and answer nearly", "same prompt by key", "a template"])
def test_boilerplate_costs_linear_time(kind: str) -> None:
    rng = random.Random(4)
    answer, prompt = " ".join(sentence(rng, 60)), " ".join(sentence(rng, 60))
    template = sentence(rng, 40)

    def row(number: int) -> Row:
        if kind == "same answer":
            return Row(f"question {number} of {number * 7}", answer, id=str(number))
        if kind == "same prompt by key":
            return Row(prompt, f"answer {number} is {number * 7}", f"c{number % 3000}", "p", id=str(number))
        if kind == "a template":  # shares three quarters
            said = template.copy()
            said[20] = f"slot{number}"
            return Row(" ".join(said), answer, id=str(number))
        return Row(prompt, f"{answer} {number}", id=str(number))

    def cost(count: int) -> float:
        rows = [row(number) for number in range(count)]
        first = process(rows[: count // 2], [])
        start = time.process_time()
        second = process(rows[count // 2 :], [first.segment])
        spent = time.process_time() - start
        if kind == "same prompt and answer nearly":
            assert set(second.clusters) == set(first.clusters) == {rows[0].example}
        return spent

    cost(2000)
    assert cost(16_000) < 16 * max(cost(2000), 0.02)


def test_an_id_of_another_length_is_refused_and_not_read_as_two() -> None:
    assert key_words(pl.Series(["ab" * 16, None])).tolist() == [[0xABABABABABABABAB] * 2, [0, 0]]
    with pytest.raises(ValueError, match="reshape"):
        key_words(pl.Series(["ab" * 32]))

from pathlib import Path

import orjson

from ft_assets.defs.sources import KnownInteractions, ingest_batch
from ft_assets.lake import Lake

DAYS = ["2026-01-05", "2026-01-06", "2026-01-07"]


def land(lake: Lake, day: str, *names: str) -> None:
    rows = [{"id": name, "input_text": "2 + 2?", "output_text": "4"} for name in names]
    lake.land(day, "log.jsonl", b"".join(orjson.dumps(row) + b"\n" for row in rows))


def kept(lake: Lake) -> dict[str, list[str]]:
    days = lake.scan("raw_interactions").group_by("day").agg("interaction_id").collect()
    return {day: sorted(names) for day, names in sorted(days.rows())}


def test_an_answer_of_an_earlier_batch_is_refused_in_later_ones(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land(lake, DAYS[0], "a", "b")
    land(lake, DAYS[1], "b", "c")
    land(lake, DAYS[2], "a", "c", "d")
    known = KnownInteractions(lake)
    for day in DAYS:
        ingest_batch(lake, [day], None, known)
    assert kept(lake) == {DAYS[0]: ["a", "b"], DAYS[1]: ["c"], DAYS[2]: ["d"]}


def test_an_answer_that_another_run_took_meanwhile_is_refused_too(tmp_path: Path) -> None:
    lake, other = Lake(str(tmp_path)), Lake(str(tmp_path))
    for day, names in zip(DAYS, (["a"], ["b"], ["a", "b", "c"]), strict=True):
        land(lake, day, *names)
    known = KnownInteractions(lake)
    ingest_batch(lake, [DAYS[0]], None, known)
    ingest_batch(other, [DAYS[1]])
    ingest_batch(lake, [DAYS[2]], None, known)
    assert kept(lake) == {DAYS[0]: ["a"], DAYS[1]: ["b"], DAYS[2]: ["c"]}


def test_a_day_that_is_read_again_does_not_meet_its_own_answers(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land(lake, DAYS[0], "a", "b")
    known = KnownInteractions(lake)
    for _ in range(2):
        ingest_batch(lake, [DAYS[0]], None, known)
    assert kept(lake) == {DAYS[0]: ["a", "b"]}

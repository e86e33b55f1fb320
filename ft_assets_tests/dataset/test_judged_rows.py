import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.dataset.judged_leaks import judged_leaks, refuse_leaking_judged
from ft_assets.dataset.judged_rows import JUDGED_FILE, JudgedRow, judged_rows, judged_sides, read_judged
from ft_assets.dataset.ledger import sides_in
from ft_assets.dataset.readiness import readiness_warnings
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selection, Selector
from ft_assets.dataset.snapshot import build_snapshot, choose, read_counts, read_side
from ft_assets.errors import IncompleteArtifact, LeakFound
from ft_assets_tests.dataset.preference_samples import Row, answer, corrected, sha, signal, table
from ft_assets_tests.dataset.test_preference_rows import FREE, HALVES, KEY, prompt_on, text


def low(prompt: str, said: str, rating: float | None = None, **differs: Any) -> Row:
    """An answer that the high-score rule does not take."""
    return answer(prompt, said, rating, **{"high_score": False, "low_score_reason": "rating 1 of 5", **differs})


def taken(rows: Sequence[Row], selector: Selector | None = None, golden: Sequence[Any] = (), **knobs: Any) -> Selection:
    curated, selector, rules = table(rows), selector or Selector(), knobs.pop("rules", FREE)
    ledger = knobs.get("ledger", {})
    chosen = choose(curated, selector, KEY, HALVES, golden, rules=rules, ledger=ledger)
    return judged_rows(curated, chosen.rows, selector, KEY, HALVES, golden, rules=rules, **knobs)


def thumbs(made: Selection) -> list[tuple[str, bool]]:
    """Text and verdict of each row."""
    texts = [turns[-1]["content"] for turns in made.rows["messages"]]
    return sorted(zip(texts, made.rows["liked"], strict=True))


def test_rows_of_the_snapshot_are_liked_and_rows_that_somebody_condemned_are_not() -> None:
    asked = prompt_on("train")
    made = taken([answer(asked, "good", 5), low(asked, "bad", 1)])
    assert thumbs(made) == [("bad", False), ("good", True)] and made.drops == {}
    assert made.rows["side"].to_list() == ["train", "train"]


@pytest.mark.parametrize(
    ("signals", "differs", "why"),
    [
        ([signal("rating", 2.9)], {}, None),
        ([signal("rating", 3)], {}, "neither_liked_nor_disliked"),
        ([signal("judge:clarity", 0.4, "record"), signal("judge:accuracy", 0.5, "record")], {}, None),
        ([signal("judge:clarity", 0.7, "record")], {}, "neither_liked_nor_disliked"),
        ([signal("judge:clarity", 0.1, "judge, not trusted")], {}, "no_verdict"),
        ([signal("rating", 1), signal("judge:clarity", 0.9, "record")], {}, "neither_liked_nor_disliked"),
        ([signal("rating", 5), signal("expert_verdict", 0, "expert")], {}, None),
        ([signal("rating", 1), signal("expert_verdict", 1, "expert")], {}, "neither_liked_nor_disliked"),
        ([], {}, "no_verdict"),
        ([], {"faults": ["refusal"]}, "no_verdict"),
        ([signal("rating", 5)], {"faults": ["truncated"]}, "neither_liked_nor_disliked"),
        ([signal("rating", 1)], {"faults": ["truncated"]}, None),
        ([signal("rating", 1)], {"conflicting": True}, "conflicting_votes"),
    ],
)
def test_only_a_clear_verdict_counts(signals: list[Row], differs: dict[str, Any], why: str | None) -> None:
    asked = prompt_on("train")
    made = taken([answer(asked, "good", 5), low(asked, "other", signals=signals, **differs)])
    assert made.drops == ({why: 1} if why else {})
    assert ("other", False) in thumbs(made) or why


def test_a_correction_is_liked_and_its_original_is_nobodys_thumb() -> None:
    made = taken([corrected(prompt_on("train"), "right", "wrong")])
    assert thumbs(made) == [("right", True)]


def test_what_the_line_does_not_take_is_not_judged_either() -> None:
    asked = prompt_on("train")
    rows = [
        answer(asked, "good", 5),
        low(asked, "of another", 1, role="devops-engineer"),
        low(asked, "unrated of another", role="devops-engineer"),
        low(asked, "from there", 1, source="chat"),
    ]
    made = taken(
        rows, Selector(roles=("qa",)), rules=Rules.model_validate({"filters": [{"exclude_sources": ["chat"]}]})
    )
    assert thumbs(made) == [("good", True)]
    assert made.drops == {"filter exclude_sources": 1}


def test_a_low_score_row_that_the_line_learns_by_heart_is_still_disliked() -> None:
    asked = prompt_on("train")
    every = Selector(high_score_only=False)
    made = taken([answer(asked, "good", 5), low(asked, "bad", 1), low(asked, "unrated")], every)
    assert thumbs(made) == [("bad", False), ("good", True)]


def test_no_judged_row_is_on_the_eval_side_and_none_bridges() -> None:
    here, there = prompt_on("train"), prompt_on("eval")
    rows = [
        answer(here, "good", 5),
        answer(there, "held out", 5),
        low(there, "bad on eval", 1),
        low(there, "bad elsewhere", 1, cluster_id=sha(here), day="2026-03-11"),
        low(prompt_on("train", 3), "linked", 1, linked_clusters=[sha(there)]),
    ]
    made = taken(rows)
    assert thumbs(made) == [("good", True)]
    assert made.drops == {"on_the_eval_side": 1, "bridges_train_and_eval": 2}
    ledger = taken([answer(here, "good", 5), low(prompt_on("train", 4), "bad", 1)], ledger={sha(here): "validation"})
    assert sorted(ledger.rows["side"]) == ["train", "validation"]


def test_a_near_copy_of_a_good_answer_is_no_bad_one(golden_row: Any) -> None:
    asked = prompt_on("train")
    good = answer(asked, "good", 5)
    copy = low(asked, "good!", 1, duplicate_group=good["duplicate_group"])
    twice = [low(asked, "bad", 1, duplicate_group="g"), low(asked, "bad!", 1, duplicate_group="g")]
    made = taken([good, copy, *twice])
    assert [liked for _, liked in thumbs(made)] == [False, True]
    assert made.drops == {"near_copy_is_liked": 1, "near_duplicate": 1}


def test_what_is_held_out_is_not_learned_as_a_bad_answer(golden_row: Any) -> None:
    draw = random.Random(5)
    held = text(draw, 60)
    rows = [
        answer(prompt_on("train"), "good", 5),
        answer(prompt_on("eval"), held, 5),
        low(prompt_on("train", 2), f"well {held}", 1),
        low("asked of the golden set", "bad", 1, cluster_id=sha(prompt_on("train"))),
    ]
    made = taken(rows, golden=[golden_row("Asked of the  golden set", "best")])
    assert thumbs(made) == [("good", True)]
    assert made.drops == {"in_golden_set": 1, "near_copy_of_eval": 1}


def test_no_user_owns_the_bad_answers() -> None:
    rows = [
        low(prompt_on("train", number), f"bad {number}", 1, user_id="U " if number % 2 else "u") for number in range(12)
    ]
    made = taken([answer(prompt_on("train", 99), "good", 5, user_id="u"), *rows], rules=Rules(most_rows_per_user=5))
    assert made.rows["liked"].sum() == 1 and made.rows.height == 6 and made.drops == {"user_cap": 7}


def of_every_side(folder: Path) -> pl.DataFrame:
    rows = [
        answer(prompt_on(side, n), f"good ü {side} {n}", 5) for side in ("train", "validation", "eval") for n in (1, 2)
    ]
    rows += [low(prompt_on(side, 1), f"bad {side}", 1) for side in ("train", "validation", "eval")]
    curated = table(rows)
    build_snapshot(curated, Selector(), KEY, HALVES, [], None, folder, rules=FREE)
    return curated


def test_the_file_is_canonical_sorted_and_read_back_by_side(tmp_path: Path) -> None:
    of_every_side(tmp_path)
    lines = (tmp_path / JUDGED_FILE).read_text(encoding="utf-8").splitlines()
    values = [json.loads(line) for line in lines]
    assert lines == [json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for v in values]
    assert [v["example_id"] for v in values] == sorted(v["example_id"] for v in values) and len(values) == 6
    assert {tuple(v) for v in values} == {tuple(sorted(JudgedRow.model_fields))}
    for side in ("train", "validation"):
        judged = read_judged(tmp_path, side)
        assert [row.liked for row in judged].count(True) == 2 and [row.liked for row in judged].count(False) == 1
        liked = {row.example_id: row.messages for row in judged if row.liked}
        assert liked == {row.example_id: row.messages for row in read_side(tmp_path, side)}
    assert read_judged(tmp_path, "eval") == []
    assert sides_in(tmp_path)[sha(prompt_on("validation", 1))] == "validation"
    assert read_counts(tmp_path).judged_by_side["train"] == {"liked": 2, "disliked": 1}
    assert read_counts(tmp_path).judged_drops == {"on_the_eval_side": 1}
    counts = read_counts(tmp_path)
    warnings = " ".join(readiness_warnings(counts, judged_answers=counts.judged_by_side["train"]))
    assert "3 judged answers (2 liked, 1 disliked), 997 fewer" in warnings
    assert "judged" not in " ".join(readiness_warnings(counts)), "no matter to who learns from examples"


def test_an_earlier_snapshot_without_the_file_is_still_read(tmp_path: Path) -> None:
    of_every_side(tmp_path)
    (tmp_path / JUDGED_FILE).unlink()
    assert judged_sides(tmp_path) == {} and judged_leaks(tmp_path, []) == {}
    refuse_leaking_judged(tmp_path, [])
    with pytest.raises(IncompleteArtifact, match="Materialize train_eval_split"):
        read_judged(tmp_path, "train")


def test_a_bad_answer_changes_nothing_of_the_other_files(tmp_path: Path) -> None:
    good = [answer(prompt_on(side, 1), f"good {side}", 5) for side in ("train", "eval")]
    for name, rows in (("with", [*good, low(prompt_on("train", 2), "bad", 1)]), ("without", good)):
        build_snapshot(table(rows), Selector(), KEY, HALVES, [], None, tmp_path / name, rules=FREE)
    for name in ("train.jsonl", "validation.jsonl", "eval.jsonl", "preferences.jsonl", "recipe.json"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    assert (tmp_path / "with" / JUDGED_FILE).read_bytes() != (tmp_path / "without" / JUDGED_FILE).read_bytes()


def test_the_order_of_the_table_changes_no_byte(tmp_path: Path) -> None:
    curated = of_every_side(tmp_path / "a")
    (tmp_path / "b").mkdir()
    shuffled = curated.sample(fraction=1, shuffle=True, seed=3)
    build_snapshot(shuffled, Selector(), KEY, HALVES, [], None, tmp_path / "b", rules=FREE)
    assert (tmp_path / "a" / JUDGED_FILE).read_bytes() == (tmp_path / "b" / JUDGED_FILE).read_bytes()


LONG = " ".join(f"word{number}" for number in range(40))


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"side": "eval"}, "the eval side"),
        ({"cluster_id": sha(prompt_on("eval", 1))}, "the same cluster"),
        ({"messages": [("user", prompt_on("validation", 1)), ("assistant", "bad")]}, "the same prompt"),
        ({"messages": [("user", "asked of FROZEN"), ("assistant", "bad")]}, "the golden set"),
        ({"messages": [("user", "else"), ("assistant", f"well {LONG}")]}, "a copy of what it is judged by"),
    ],
)
def test_each_way_to_leak_is_found(golden_row: Any, tmp_path: Path, differs: dict[str, Any], why: str) -> None:
    of_every_side(tmp_path)
    golden = [golden_row("asked of frozen", LONG)]
    assert judged_leaks(tmp_path, golden) == {}
    refuse_leaking_judged(tmp_path, golden)
    lines = (tmp_path / JUDGED_FILE).read_text().splitlines()
    value = next(v for line in lines if not (v := json.loads(line))["liked"] and v["side"] == "train")
    if "messages" in differs:
        differs = {"messages": [{"role": role, "content": content} for role, content in differs["messages"]]}
    planted = value | {"example_id": "planted", "cluster_id": "own", "messages": [{"role": "user", "content": "x"}]}
    planted |= differs
    (tmp_path / JUDGED_FILE).write_text("\n".join([*lines, json.dumps(planted)]) + "\n")
    found = judged_leaks(tmp_path, golden)
    assert found["planted"] == why
    with pytest.raises(LeakFound, match="judged rows"):
        refuse_leaking_judged(tmp_path, golden)


def test_whatever_comes_in_no_judged_row_leaks(tmp_path: Path) -> None:
    draw = random.Random(11)
    prompts = [text(draw) for _ in range(60)]
    rows: list[Row] = []
    for _ in range(300):
        asked = draw.choice(prompts)
        # some answers were clustered with another prompt, some are linked to one, as bridges are
        cluster = sha(asked if draw.random() < 0.8 else draw.choice(prompts))
        links = [sha(draw.choice(prompts))] if draw.random() < 0.1 else []
        differs: Row = {"cluster_id": cluster, "linked_clusters": [each for each in links if each != cluster]}
        if draw.random() < 0.1 and rows:  # what somebody else said already, in part
            differs["tags"] = ["copied"]
            said = f"well {rows[draw.randrange(len(rows))]['messages'][-1]['content']}"
        else:
            said = text(draw)
        rating = draw.choice((1, 2, 5))
        rows.append(answer(asked, said, rating, **differs) if rating == 5 else low(asked, said, rating, **differs))
    curated = table(rows)
    summary = build_snapshot(curated, Selector(), KEY, HALVES, [], None, tmp_path, rules=FREE)
    assert judged_leaks(tmp_path, []) == {}
    assert summary.judged_by_side["train"]["disliked"] > 20 and summary.judged_by_side["validation"]["disliked"] > 3
    assert summary.judged_drops["bridges_train_and_eval"] > 10 and summary.judged_drops["near_copy_of_eval"] >= 1
    verdicts = {row["example_id"]: row["high_score"] for row in rows}
    for side in ("train", "validation"):
        assert all(verdicts[row.example_id] == row.liked for row in read_judged(tmp_path, side))

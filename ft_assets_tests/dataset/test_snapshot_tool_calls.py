"""Tool calls in snapshots: kept where there are some, seen by every guard, and no byte of another snapshot changed."""

import hashlib
import json
import random
from pathlib import Path

import polars as pl
import pytest

import ft_assets
from ft_assets.dataset.card_rows import snapshot_rows
from ft_assets.dataset.contamination import leaks
from ft_assets.dataset.export import write_rows
from ft_assets.dataset.judged_leaks import judged_leaks
from ft_assets.dataset.judged_rows import read_judged
from ft_assets.dataset.planted import planted_recall
from ft_assets.dataset.preference_leaks import preference_leaks
from ft_assets.dataset.preference_rows import prompt_texts, read_preferences
from ft_assets.dataset.preferences import pairs_of_days, same_answers
from ft_assets.dataset.rows import canonical_json, read_side, side_frame
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot, choose
from ft_assets.dataset.split import SplitFractions
from ft_assets.errors import BadInput
from ft_assets_tests.dataset.preference_samples import answer, corrected, table

QA = Selector(roles=("qa",))
HALVES = SplitFractions(eval_fraction=0.4, validation_fraction=0.2)
FREE = Rules(most_rows_per_user=None)
SIDES = ("train", "validation", "eval")
REAL = Path(ft_assets.__file__).parents[2] / "shared" / "data" / "classification_tool_relevance.jsonl"
LONG = {"filters": Rules.model_validate({"filters": [{"min_answer_chars": 30}]}).filters}
LAST_TURNS = {"transformers": Rules.model_validate({"transformers": [{"keep_last_turns": 2}]}).transformers}
# How the SHA-256 of the files begins, as they were made before snapshots held tool calls (revision eb1e02e).
BEFORE = {
    "train": "a88921a71bad4d56",
    "validation": "66d8d3b0162f1c9d",
    "eval": "bf4fde5a3ca34d7c",
    "preferences": "9a3761d00cacfef2",
}


def build(rows: pl.DataFrame, folder: Path, **knobs):
    return build_snapshot(rows, QA, "key", HALVES, knobs.pop("golden", []), None, folder, rules=FREE, **knobs)


def plain_rows(count: int = 60) -> pl.DataFrame:
    """Answers, of which each fifth was corrected, without a tool call."""
    draw = random.Random(7)
    words = [f'wörd{number}"\\,"tool_calls":null' if number % 50 == 0 else f"word{number}" for number in range(900)]

    def text(length: int) -> str:
        return " ".join(draw.choices(words, k=length))

    made = [
        (corrected, (text(9), text(20), text(15))) if n % 5 == 0 else (answer, (text(9), text(20)))
        for n in range(count)
    ]
    return table([row(*said) for row, said in made])


def test_a_snapshot_without_tool_calls_is_byte_for_byte_what_it_was_before(tmp_path):
    rows = plain_rows()
    build(rows, tmp_path / "s", pairs=pairs_of_days(rows, sorted(set(rows["day"]))).pairs.lazy())
    files = {name: (tmp_path / "s" / f"{name}.jsonl").read_bytes() for name in (*SIDES, "preferences")}
    assert all(len(content) > 1000 for content in files.values())
    assert {name: hashlib.sha256(content).hexdigest()[:16] for name, content in files.items()} == BEFORE


def call(name: str = "restart", *, logged_id: str = "x", **arguments: object) -> str:
    return json.dumps([{"id": logged_id, "function": {"name": name, "arguments": json.dumps(arguments)}}])


def calling_rows(count: int = 60) -> pl.DataFrame:
    """Answers that only call, of several turns with a tool's result, and that only talk."""
    draw = random.Random(5)

    def text(length: int) -> str:
        return " ".join(f"word{draw.randrange(900)}" for _ in range(length))

    rows = []
    for number in range(count):
        row = answer(text(12), "" if number % 3 else text(20), tool_calls=call(note=text(15)) if number % 3 else None)
        if number % 3 == 2:
            result = {"role": "tool", "content": text(8), "tool_calls": None}
            row["messages"] += [result, {"role": "assistant", "content": text(9), "tool_calls": None}]
        rows.append(row)
    return table(rows)


def test_calls_are_kept_to_the_letter_and_written_only_where_there_are_some(tmp_path):
    rows = calling_rows()
    build(rows, tmp_path / "s")
    curated = dict(rows.select("example_id", "messages").iter_rows())
    written = [row for side in SIDES for row in read_side(tmp_path / "s", side)]
    assert len(written) == rows.height
    for row in written:
        assert [turn.model_dump() for turn in row.messages] == curated[row.example_id]
    lines = [line for side in SIDES for line in (tmp_path / "s" / f"{side}.jsonl").read_text().splitlines()]
    assert lines == [canonical_json(json.loads(line)) for line in lines]
    assert sum(line.count('"tool_calls"') for line in lines) == 40 and not any("null}" in line for line in lines)
    frame = pl.concat([side_frame(tmp_path / "s", side) for side in SIDES])
    assert {name: turns for name, turns in frame.select("example_id", "messages").iter_rows()} == curated


def test_the_card_measures_an_answer_with_its_calls(tmp_path):
    rows = calling_rows()
    build(rows, tmp_path / "s")
    assert snapshot_rows(tmp_path / "s", rows)["answer_characters"].min() > 30, "none is empty"


def test_filters_measure_calls_and_the_last_turns_keep_a_call_with_its_question():
    rows = calling_rows()
    assert choose(rows, QA, "key", HALVES, [], rules=FREE.model_copy(update=LONG)).drops == {}
    cut = choose(rows, QA, "key", HALVES, [], rules=FREE.model_copy(update=LAST_TURNS)).rows
    roles = {tuple(turn["role"] for turn in messages) for messages in cut["messages"]}
    assert roles == {("user", "assistant"), ("user", "assistant", "tool", "assistant")}


def test_judged_answers_keep_their_calls(tmp_path):
    stars = [answer(f"Restart number {n}.", "", 1, tool_calls=call(n=n), high_score=False) for n in range(9)]
    for row in stars:
        row["low_score_reason"] = "rating 1 of 5"
    build(pl.concat([table(stars), calling_rows()]), tmp_path / "s", disliked_below=0.5)
    judged = [row for side in SIDES for row in read_judged(tmp_path / "s", side)]
    disliked = [row.messages[-1].tool_calls for row in judged if not row.liked]
    assert disliked and set(disliked) <= {row["messages"][-1]["tool_calls"] for row in stars}
    assert '"tool_calls":null' not in (tmp_path / "s" / "judged.jsonl").read_text()
    assert judged_leaks(tmp_path / "s", []) == {}


@pytest.mark.skipif(not REAL.is_file(), reason="the folder with real data is not there")
def test_calls_of_real_functions_pass_and_their_planted_copies_are_found(tmp_path):
    rows = real_calls(400)
    build(rows, tmp_path / "s")
    written = [row for side in SIDES for row in read_side(tmp_path / "s", side)]
    assert all(row.messages[-1].tool_calls for row in written)
    assert len(written) > 0.8 * rows.height, "few of them are copies of each other"
    for kind, recall in planted_recall(tmp_path / "s", []).items():
        assert recall.planted > 50 and (recall.share or 0) > 0.95, (kind, recall)


def real_calls(count: int) -> pl.DataFrame:
    """Requests of the file, each answered by a call of the first function that was on offer, with its own defaults."""
    rows = []
    for line in REAL.read_text(encoding="utf-8").splitlines()[:count]:
        offer, request = json.loads(line)["input"].split("\nFunctions: ", 1)[1].split("\nRequest: ", 1)
        function = json.loads(offer)[0]
        known = function["parameters"]["properties"]
        given = {name: of.get("default", of.get("enum", [request])[0]) for name, of in known.items()}
        rows.append(answer(request, "", tool_calls=json.dumps([{"name": function["name"], "arguments": given}])))
    return table(rows).unique("example_id", keep="first", maintain_order=True)


def on_sides(answers: dict[str, str], said: dict[str, str] | None = None) -> pl.DataFrame:
    """A train row and an eval row with these calls behind prompts of their own; the content is empty, or as given."""
    draw, made = random.Random(1), []
    for side, calls in answers.items():
        asked = " ".join(f"{side}{draw.randrange(900)}" for _ in range(6))
        made.append(answer(asked, (said or {}).get(side, ""), tool_calls=calls, linked_clusters=[]))
    return table(made)


NOTE = "the mail queue on the second host hangs since the last release because its disk is full again"


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (call(note=NOTE, logged_id="y"), ""),
        (call(logged_id="y", host="b", note=NOTE), ""),
        (None, f"I would restart it: {NOTE}, so free some space first."),
    ],
)
def test_a_row_that_repeats_the_call_of_an_eval_row_is_dropped_and_found_in_what_was_written(calls, said, tmp_path):
    rows = on_sides({"eval": call(note=NOTE), "train": calls, "other": call(note="x " * 20)}, {"train": said})
    ledger = dict(zip(rows["cluster_id"], ("eval", "train", "train"), strict=True))
    chosen = choose(rows, QA, "key", HALVES, [], rules=FREE, ledger=ledger)
    assert chosen.drops == {"near_copy_of_eval": 1} and chosen.rows.height == 2
    watched, copied, other = (rows[n].rename({}) for n in range(3))
    build(pl.concat([copied, other]), tmp_path / "s", ledger=ledger)
    build(pl.concat([watched, other]), tmp_path / "eval", ledger=ledger)
    (tmp_path / "s" / "eval.jsonl").write_bytes((tmp_path / "eval" / "eval.jsonl").read_bytes())
    found = leaks(tmp_path / "s", [])
    assert [leak.example_id for leak in found] == copied["example_id"].to_list()
    begin, end = found[0].span
    assert 0 < begin < end, "the span is that of the call, not of the whole row"


def test_conversations_that_differ_by_a_call_are_two_and_those_that_differ_by_its_id_are_one():
    def conversation(calls: str) -> list[dict]:
        turns = [("user", "Look.", None), ("assistant", "", calls), ("tool", "ok", None), ("assistant", "Done.", None)]
        return [{"role": role, "content": content, "tool_calls": made} for role, content, made in turns]

    one, same, other = (call(queue=queue, logged_id=i) for i, queue in (("a", "mail"), ("b", "mail"), ("c", "print")))
    rows = table([answer(f"p{n}", "a", messages=conversation(c)) for n, c in enumerate((one, same, other))])
    ledger = dict(zip(rows["cluster_id"], ("eval", "train", "train"), strict=True))
    chosen = choose(rows, QA, "key", HALVES, [], rules=FREE, ledger=ledger)
    assert chosen.drops == {"bridges_train_and_eval": 1}
    assert rows["example_id"][2] in chosen.rows["example_id"] and chosen.rows.height == 2
    asked = rows.select(asked=prompt_texts(pl.col("messages")))["asked"]
    assert asked[0] == asked[1] != asked[2], "as a pair's prompt, too"


def test_planted_copies_of_rows_that_call_are_found(tmp_path):
    build(calling_rows(120), tmp_path / "s")
    for kind, recall in planted_recall(tmp_path / "s", []).items():
        assert recall.planted > 20 and recall.share == 1, (kind, recall)


def test_pairs_keep_their_calls_and_two_ids_of_one_call_are_no_pair(tmp_path):
    good, bad = call(queue="mail", logged_id="a"), call(queue="print", logged_id="b")
    rows = table([answer("Restart it now.", "", 5, tool_calls=good), answer("Restart it now.", "", 1, tool_calls=bad)])
    filling = plain_rows(30)
    pairs = pairs_of_days(rows, sorted(set(rows["day"]))).pairs
    ledger = {rows["cluster_id"][0]: "train"}
    build(pl.concat([rows, filling]), tmp_path / "s", pairs=pairs.lazy(), ledger=ledger)
    (pair,) = read_preferences(tmp_path / "s", "train")
    assert [pair.chosen[0].tool_calls, pair.rejected[0].tool_calls] == [good, bad]
    assert (
        pair.prompt[0].tool_calls is None and '"tool_calls":null' not in (tmp_path / "s/preferences.jsonl").read_text()
    )
    again = rows.with_columns(messages=rows["messages"].gather([0, 0]))["messages"].list.tail(1)
    other = pl.Series(
        [[{**again[0][0], "tool_calls": calls}] for calls in (good.replace('"a"', '"b"'), bad)], dtype=again.dtype
    )
    assert same_answers(again, other).to_list() == [True, False]


def test_a_pair_that_repeats_the_call_of_an_eval_row_is_found_in_what_was_written(tmp_path):
    watched = answer("The mails wait.", "", tool_calls=call(note=NOTE))
    asked, calls = "Something else is wrong here.", (call(note=NOTE, logged_id="y"), call(note="another note"))
    rated = [answer(asked, "", stars, tool_calls=made) for stars, made in zip((5, 1), calls, strict=True)]
    rows, pairs = table([watched]), pairs_of_days(table(rated), [rated[0]["day"]]).pairs.lazy()
    ledger = {watched["cluster_id"]: "eval", rated[0]["cluster_id"]: "train"}
    build(pl.concat([table(rated), plain_rows(20)]), tmp_path / "s", pairs=pairs, ledger=ledger)
    build(pl.concat([rows, plain_rows(20)]), tmp_path / "eval", ledger=ledger)
    assert preference_leaks(tmp_path / "s", []) == {}
    (tmp_path / "s" / "eval.jsonl").write_bytes((tmp_path / "eval" / "eval.jsonl").read_bytes())
    assert list(preference_leaks(tmp_path / "s", []).values()) == ["a copy of what it is judged by"]
    both = build(pl.concat([rows, table(rated), plain_rows(20)]), tmp_path / "both", pairs=pairs, ledger=ledger)
    assert both.preference_drops["near_copy_of_eval"] == 1 and not sum(both.preferences_by_side.values())


def test_calls_are_exported_as_openai_writes_them_and_refused_where_a_format_has_no_place(tmp_path):
    build(calling_rows(), tmp_path / "s")
    rows = [row for row in read_side(tmp_path / "s", "train") if row.messages[-1].tool_calls]
    assert write_rows(rows, "messages", tmp_path / "rows.jsonl") == len(rows) > 5
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    functions = [json.loads(line)["messages"][-1]["tool_calls"][0]["function"] for line in lines]
    assert {function["name"] for function in functions} == {"restart"}
    for format in ("native", "input_output", "completion", "alpaca", "sharegpt", "transcript", "argilla"):
        with pytest.raises(BadInput, match=rf"{rows[0].example_id} cannot be written as {format} .* tool calls"):
            write_rows(rows, format, tmp_path / "none.jsonl")

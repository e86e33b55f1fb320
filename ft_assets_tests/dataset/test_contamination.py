import random

import polars as pl
import pytest

from ft_assets.dataset.contamination import Leak, drop_copies, drop_golden, leaks, refuse_leaking
from ft_assets.dataset.rows import SnapshotRow
from ft_assets.errors import LeakFound
from ft_assets.records import Message

QUESTION = (
    "A farmer has seventeen hens and nine ducks, sells four hens at the market on Monday, and buys twice as many ducks "
    "as he has left hens on Tuesday. How many birds does he have on Wednesday morning?"
)
ANSWER = "He keeps thirteen hens and buys twenty-six ducks, so he has thirteen hens and thirty-five ducks: 48 birds."


def kept(rows: pl.DataFrame) -> list[str]:
    return rows["example_id"].to_list()


def test_a_row_that_asks_a_golden_prompt_is_dropped_whatever_it_answers(row, curated, conversation, golden_row):
    table = curated([row("a"), row("b", messages=conversation("  WHAT is\nthis? ", "Something else."))])
    clean = drop_golden(table, [golden_row("What is this?", "A test.")])
    assert kept(clean.rows) == ["a"]
    assert clean.drops == {"in_golden_set": 1}


def test_a_conversation_that_begins_with_a_golden_prompt_is_dropped(row, curated, conversation, golden_row):
    table = curated([row("a", messages=conversation("What is this?", "A test.", "And that?", "Another."))])
    assert drop_golden(table, [golden_row("What is this?", "A test.")]).rows.height == 0


def test_a_system_turn_does_not_hide_a_golden_prompt(row, curated, conversation, golden_row):
    hidden = [{"role": "system", "content": "Be kind.", "tool_calls": None}, *conversation("What is this?", "A test.")]
    assert drop_golden(curated([row("a", messages=hidden)]), [golden_row("What is this?", "A test.")]).rows.height == 0


def test_a_row_of_a_golden_cluster_is_dropped(row, curated, golden_row):
    assert drop_golden(curated([row("a", cluster_id="c-g1")]), [golden_row("q", "a")]).rows.height == 0


def test_without_a_golden_set_nothing_is_dropped(many):
    assert drop_golden(many, []).rows.equals(many)


@pytest.fixture
def snapshot(tmp_path):
    """Writes three sides of (example, cluster, prompt, question, answer) as a snapshot."""

    def write(**by_side: list[tuple[str, ...]]):
        for side in ("train", "validation", "eval"):
            rows = [
                SnapshotRow(
                    example_id=example,
                    cluster_id=cluster,
                    prompt_id=prompt,
                    role=None,
                    task_type=None,
                    reasoning_mode="standard",
                    messages=[
                        Message(role="user", content=asked),
                        Message(role="assistant", content=[*said, "yes"][0]),
                    ],
                    interaction_ids=[],
                )
                for example, cluster, prompt, asked, *said in by_side.get(side, [])
            ]
            (tmp_path / f"{side}.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
        return tmp_path

    return write


def test_clean_sides_have_no_leak(snapshot):
    folder = snapshot(train=[("a", "1", "p", "x?"), ("b", "1", "p", "x?")], eval=[("c", "2", "q", "y?")])
    assert leaks(folder, []) == []
    refuse_leaking(folder, [])


@pytest.mark.parametrize(
    ("on_eval", "layer"),
    [
        (("a", "2", "q", "y?"), "same_example"),
        (("b", "1", "q", "y?"), "same_cluster"),
        (("b", "2", "p", "y?"), "same_prompt"),
        (("b", "2", "q", " X? "), "whole_text"),
    ],
)
@pytest.mark.parametrize("side", ["train", "validation"])
def test_what_is_learned_from_and_stands_on_eval_is_a_leak(snapshot, side, on_eval, layer):
    folder = snapshot(**{side: [("a", "1", "p", "x?")], "eval": [on_eval]})
    assert leaks(folder, []) == [Leak("a", on_eval[0], layer, (0, len("x?\nyes")))]


@pytest.mark.parametrize(
    ("watched", "layer"), [(("b", "1", "q", "y?"), "same_cluster"), (("b", "2", "q", "X?"), "whole_text")]
)
def test_train_and_validation_are_kept_apart_as_well(snapshot, watched, layer):
    folder = snapshot(train=[("a", "1", "p", "x?")], validation=[watched])
    assert leaks(folder, []) == [Leak("a", "b", layer, (0, 6))]


def test_a_golden_row_is_a_leak_in_train_and_validation_and_none_on_the_eval_side(snapshot, golden_row):
    golden = [golden_row("x?", "no")]
    asked = Leak("a", "g1", "whole_text", (0, 2))  # the question; the answer is another
    assert leaks(snapshot(train=[("a", "1", "p", "X?")]), golden) == [asked]
    assert leaks(snapshot(validation=[("a", "1", "p", "X?")]), golden) == [asked]
    assert leaks(snapshot(eval=[("a", "1", "p", "X?")]), golden) == []


def test_a_golden_cluster_is_a_leak_whatever_is_asked(snapshot, golden_row):
    found = leaks(snapshot(train=[("a", "c-g1", "p", "y?")]), [golden_row("x?", "no")])
    assert [(leak.other_id, leak.layer) for leak in found] == [("g1", "same_cluster")]


def test_a_snapshot_that_leaks_is_refused_with_its_rows_and_never_with_their_text(snapshot):
    folder = snapshot(train=[("a", "1", "p", "x-ray?")], eval=[("b", "1", "q", "y?")])
    with pytest.raises(LeakFound, match=r"1 rows .* a \(same_cluster b, characters 0 to 10\)") as refused:
        refuse_leaking(folder, [])
    assert "x-ray" not in str(refused.value)


def test_a_copy_inside_a_longer_text_is_named_with_its_place(snapshot):
    asked = f"Please help me with my homework. {QUESTION} Thank you!"
    found = leaks(snapshot(train=[("a", "1", "p", asked)], eval=[("b", "2", "q", QUESTION, ANSWER)]), [])
    assert [(leak.example_id, leak.other_id, leak.layer) for leak in found] == [("a", "b", "n_grams")]
    begin, end = found[0].span
    assert asked[begin:end] == QUESTION.rstrip("?")


def test_a_copy_whose_every_tenth_word_changed_is_a_near_copy(snapshot):
    words = f"{QUESTION}|{ANSWER}".split(" ")
    changed = " ".join("zebra" if place % 10 == 4 else word for place, word in enumerate(words)).split("|")
    folder = snapshot(train=[("a", "1", "p", *changed)], eval=[("b", "2", "q", QUESTION, ANSWER)])
    assert [leak.layer for leak in leaks(folder, [])] == ["near_copy"]


def on_sides(rows: pl.DataFrame, **side_of: str) -> pl.DataFrame:
    return rows.with_columns(side=pl.col("example_id").replace_strict(side_of))


def test_train_and_validation_lose_what_repeats_the_eval_side_or_the_golden_set(row, curated, conversation, golden_row):
    hens = QUESTION.replace("hens", "geese").replace("ducks", "swans")
    other = (
        "Which of the two services should be moved to the new cluster first, and what has to be checked before that?"
    )
    table = curated(
        [
            row("a", messages=conversation(f"Well. {QUESTION}", "48")),
            row("b", messages=conversation(QUESTION, ANSWER)),
            row("c", messages=conversation(f"{other} Why?", "The one that nothing depends upon.")),
            row("d"),
            row("e", messages=conversation(hens, "No idea at all.")),
        ]
    )
    sided = on_sides(table, a="train", b="eval", c="validation", d="train", e="eval")
    clean = drop_copies(sided, [golden_row(other, "The cache, as soon as its clients can be told.")])
    assert kept(clean.rows) == ["b", "d", "e"]
    assert clean.drops == {"near_copy_of_eval": 1, "in_golden_set": 1}


def test_few_rows_of_one_template_are_copies_of_each_other(row, curated, conversation):
    draw = random.Random(3)

    def filled() -> list:
        level, service, host, cause = (f"{slot}{draw.randrange(12)}" for slot in ("level", "svc", "host", "cause"))
        asked = f"Our pager fired at night with this line of the log, what now? {level} of {service} on {host}: {cause}"
        return conversation(asked, f"Look at {service} on {host} first.")

    table = curated([row(f"e{i:03d}", messages=filled()) for i in range(400)])
    sides = {f"e{i:03d}": "eval" if i % 10 == 0 else "train" for i in range(400)}
    assert sum(drop_copies(on_sides(table, **sides), []).drops.values()) < 0.1 * 400


def test_a_closed_answer_that_is_right_for_two_questions_makes_no_copy(row, curated, conversation):
    label = " ".join(f"the request concerns invoice handling number {word}" for word in ("one", "two", "three", "four"))
    asked = ("Where does my complaint about the late parcel belong?", "Who takes care of a broken garden chair?")
    rows = [
        row(name, task_type="classification", messages=conversation(q, label))
        for name, q in zip("ab", asked, strict=True)
    ]
    assert drop_copies(on_sides(curated(rows), a="train", b="eval"), []).drops == {}
    free = [{**each, "task_type": "advice"} for each in rows]
    assert drop_copies(on_sides(curated(free), a="train", b="eval"), []).drops == {"near_copy_of_eval": 1}


def test_what_was_dropped_leaves_nothing_for_the_check_to_find_even_where_idioms_become_rare(
    row, curated, conversation, snapshot
):
    # Twelve rows hold the item, so its words look like an idiom; three of them hold it whole and go, and the rest with
    # them, because nine rows no longer make an idiom.
    rows = [row(f"w{i}", messages=conversation(QUESTION, ANSWER)) for i in range(3)]
    rows += [row(f"p{i}", messages=conversation(f"{QUESTION} {i}", f"So {i}?")) for i in range(9)]
    table = curated([*rows, row("e", messages=conversation(QUESTION, ANSWER))])
    sides = {each["example_id"]: "train" for each in rows} | {"e": "eval"}
    assert drop_copies(on_sides(table, **sides), []).drops == {"near_copy_of_eval": 12}

import pytest

from ft_assets.dataset.duplicates import drop_repeated_answers, one_per_group

REFUSAL = "I am sorry, but I cannot help you with that request. Please ask your administrator."
LABELS = (
    "This ticket belongs to the team that takes care of billing and invoices.",
    "This ticket belongs to the team that takes care of broken deployments.",
)


def ids(rows) -> list[str]:
    return rows["example_id"].to_list()


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"human_verified": True, "quality_score": 0.1}, {"quality_score": 0.9}),
        ({"quality_score": 0.9, "day": "2026-02-01"}, {"quality_score": 0.8}),
        ({"quality_score": 0.1, "day": "2026-02-01"}, {"quality_score": None}),
        ({"day": "2026-01-01"}, {"day": "2026-01-02"}),
    ],
)
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_the_best_row_of_a_group_stays(row, curated, better, worse, names):
    table = curated([row(names[0], duplicate_group="g", **worse), row(names[1], duplicate_group="g", **better)])
    single = one_per_group(table)
    assert ids(single.rows) == [names[1]]
    assert single.drops == {"near_duplicate": 1}


def test_of_equal_rows_the_smaller_id_stays(row, curated):
    assert ids(one_per_group(curated([row("b", duplicate_group="g"), row("a", duplicate_group="g")])).rows) == ["a"]


def test_a_row_of_the_last_snapshot_stays_the_one_of_its_group(row, curated):
    table = curated([row("old", duplicate_group="g"), row("new", duplicate_group="g", human_verified=True), row("x")])
    assert ids(one_per_group(table, previous=["old", "gone"]).rows) == ["old", "x"]


def test_groups_of_one_are_left_alone_in_their_order(many):
    assert one_per_group(many).rows.equals(many)
    assert one_per_group(many).drops == {}


@pytest.fixture
def answered(row, curated, conversation):
    """A table of (answer, cluster, task) with a prompt of its own each."""

    def make(*given: tuple[str, str, str | None]):
        return curated(
            [
                row(
                    f"e{i}", answer_id=answer.casefold(), cluster_id=cluster, task_type=task,
                    messages=conversation(f"question {i}?", answer),
                )
                for i, (answer, cluster, task) in enumerate(given)
            ]
        )  # fmt: skip

    return make


def test_a_refusal_that_many_prompts_got_is_dropped_and_the_others_stay(answered):
    table = answered(*((REFUSAL, f"c{i}", "advice") for i in range(5)), ("Another answer.", "x", "advice"))
    telling = drop_repeated_answers(table, table, 5)
    assert ids(telling.rows) == ["e5"]
    assert telling.drops == {"repeated_answer": 5}


def test_an_answer_is_counted_over_all_rows_and_not_only_over_those_of_the_line(answered):
    table = answered(*((REFUSAL, f"c{i}", None) for i in range(5)))
    assert drop_repeated_answers(table.head(1), table.lazy(), 5).drops == {"repeated_answer": 1}


@pytest.mark.parametrize(
    "given",
    [
        [(REFUSAL, f"c{i}", "advice") for i in range(4)],  # too few prompts
        [(REFUSAL, "one", "advice") for _ in range(9)],  # prompts of one cluster are related
        [("Yes.", f"c{i}", "advice") for i in range(9)],  # shorter than a free-text answer
        [(REFUSAL, f"c{i}", "qa") for i in range(9)],  # a closed answer
    ],
)
def test_an_answer_is_repeated_only_where_many_unrelated_prompts_got_a_long_free_text(answered, given):
    table = answered(*given)
    assert drop_repeated_answers(table, table, 5).rows.equals(table)


@pytest.mark.parametrize("labels", [("yes", "no"), LABELS])
def test_a_balanced_classification_set_keeps_all_of_its_rows(answered, labels):
    table = answered(*((labels[i % 2], f"c{i}", "classification") for i in range(1_000)))
    telling = drop_repeated_answers(table, table, 5)
    assert telling.rows.height == 1_000
    assert telling.drops == {}

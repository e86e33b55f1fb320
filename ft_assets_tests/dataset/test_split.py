import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ft_assets.dataset.select import Selector, select
from ft_assets.dataset.split import assign_sides, side_of, sides_of

FRACTIONS = st.floats(0, 0.99)
MANY = [f"cluster-{i}" for i in range(5_000)]
EVERYTHING = Selector()


def sides(table: pl.DataFrame) -> dict[str, str]:
    rows = assign_sides(select(table, EVERYTHING).rows, "key").rows
    return dict(rows.select("example_id", "side").rows())


def test_a_cluster_has_the_side_that_was_written_down_once():
    drawn = {i: side_of(f"cluster-{i}", "ft_assets") for i in range(30)}
    held_out = {i: side for i, side in drawn.items() if side != "train"}
    assert held_out == {8: "validation", 19: "eval", 21: "eval", 24: "eval", 27: "validation"}


def test_the_shares_are_those_asked_for():
    drawn = [side_of(cluster, "key", 0.1, 0.1) for cluster in MANY]
    assert drawn.count("eval") / len(drawn) == pytest.approx(0.10, abs=0.015)
    assert drawn.count("validation") / len(drawn) == pytest.approx(0.09, abs=0.015)


def test_another_key_is_another_draw():
    assert [side_of(cluster, "a") for cluster in MANY] != [side_of(cluster, "b") for cluster in MANY]


def test_nothing_is_held_out_where_nothing_is_asked_for():
    assert {side_of(cluster, "key", 0, 0) for cluster in MANY} == {"train"}


@given(cluster=st.text(), key=st.text(), small=FRACTIONS, large=FRACTIONS, other=FRACTIONS)
def test_a_larger_eval_share_only_moves_clusters_to_eval(cluster, key, small, large, other):
    before, after = (side_of(cluster, key, share, other) for share in sorted((small, large)))
    assert after in (before, "eval")


@given(cluster=st.text(), key=st.text(), small=FRACTIONS, large=FRACTIONS, other=FRACTIONS)
def test_a_larger_validation_share_only_moves_clusters_from_train(cluster, key, small, large, other):
    before, after = (side_of(cluster, key, other, share) for share in sorted((small, large)))
    assert (before, after) in {(before, before), ("train", "validation")}


SKETCH = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(0, 8), st.integers(1, 5)), max_size=40
)  # example, cluster, prompt, day


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=SKETCH, more=SKETCH)
def test_no_example_ever_changes_its_side_when_rows_are_added(row, curated, first, more):
    def rows(sketch, later):
        # An example's cluster and prompt are functions of its text, so its number fixes them.
        return [
            row(f"e{e + 100 * later}", cluster_id=f"c{c}", prompt_id=f"p{p}", day=f"2026-0{1 + later}-{d:02d}")
            for e, c, p, d in sketch
        ]

    old = {r["example_id"]: r for r in rows(first, 0)}.values()
    added = {r["example_id"]: r for r in rows(more, 1)}.values()
    before, after = sides(curated(list(old))), sides(curated([*old, *added]))
    assert {example: after[example] for example in before} == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sketch=SKETCH)
def test_no_prompt_stands_on_two_sides(row, curated, sketch):
    rows = [row(f"e{i}", cluster_id=f"c{c}", prompt_id=f"p{p}") for i, (_, c, p, _) in enumerate(sketch)]
    kept = assign_sides(curated(rows), "key", 0.3, 0.3).rows
    assert (
        kept.group_by("prompt_id").agg(pl.col("side").n_unique())["side"].to_list()
        == [1] * kept["prompt_id"].n_unique()
    )
    assert (
        kept.group_by("cluster_id").agg(pl.col("side").n_unique())["side"].to_list()
        == [1] * kept["cluster_id"].n_unique()
    )


def two_clusters_on_different_sides() -> tuple[str, str]:
    train = next(cluster for cluster in MANY if side_of(cluster, "key") == "train")
    held_out = next(cluster for cluster in MANY if side_of(cluster, "key") == "eval")
    return train, held_out


def test_a_prompt_on_two_sides_stays_on_that_of_its_first_row(row, curated):
    train, held_out = two_clusters_on_different_sides()
    early = row("b", cluster_id=held_out, prompt_id="p", day="2026-01-01")
    late = row("a", cluster_id=train, prompt_id="p", day="2026-01-02")
    chosen = assign_sides(curated([late, early]), "key")
    assert chosen.rows.select("example_id", "side").rows() == [("b", "eval")]
    assert chosen.drops == {"bridges_train_and_eval": 1}


def test_the_same_text_in_another_case_bridges_two_sides_too(row, curated, conversation):
    train, held_out = two_clusters_on_different_sides()
    one = row("a", cluster_id=train, messages=conversation("Is  it a Bug?", "No."))
    other = row("b", cluster_id=held_out, messages=conversation("is it a bug?", "no."))
    assert assign_sides(curated([one, other]), "key").drops == {"bridges_train_and_eval": 1}


@given(clusters=st.lists(st.text(), max_size=20), key=st.text(), one=FRACTIONS, other=FRACTIONS)
def test_many_clusters_get_the_sides_that_each_gets_by_itself(clusters, key, one, other):
    assert sides_of(clusters, key, one, other) == [side_of(cluster, key, one, other) for cluster in clusters]


LINKS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 6), st.lists(st.integers(0, 12), max_size=3)), max_size=40
)  # cluster, prompt, linked clusters


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sketch=LINKS, ledger=st.dictionaries(st.integers(0, 12), st.sampled_from(["train", "validation", "eval"])))
def test_no_two_linked_rows_stand_on_different_sides(row, curated, sketch, ledger):
    rows = [
        row(f"e{i}", cluster_id=f"c{c}", prompt_id=f"p{p}", linked_clusters=[f"c{other}" for other in linked])
        for i, (c, p, linked) in enumerate(sketch)
    ]
    sided = assign_sides(curated(rows), "key", 0.3, 0.3, {f"c{cluster}": side for cluster, side in ledger.items()})
    side = dict(sided.rows.select("cluster_id", "side").rows())
    for cluster, own, linked in sided.rows.select("cluster_id", "side", "linked_clusters").iter_rows():
        assert side[cluster] == own
        assert {side[other] for other in linked if other in side} <= {own}
        known = {ledger[int(other[1:])] for other in [cluster, *linked] if int(other[1:]) in ledger}
        assert known <= {own}
    assert sided.rows.height + sided.drops.get("bridges_train_and_eval", 0) == len(rows)


def test_a_row_that_is_linked_to_a_cluster_of_another_side_is_dropped(row, curated):
    train, held_out = two_clusters_on_different_sides()
    table = curated([row("a", cluster_id=train), row("b", cluster_id=train, linked_clusters=[held_out])])
    sided = assign_sides(table, "key")
    assert sided.rows["example_id"].to_list() == ["a"]
    assert sided.drops == {"bridges_train_and_eval": 1}


def test_a_side_in_the_ledger_wins_and_is_counted_once_per_cluster(row, curated):
    train, held_out = two_clusters_on_different_sides()
    table = curated([row("a", cluster_id=train), row("b", cluster_id=train), row("c", cluster_id=held_out)])
    sided = assign_sides(table, "key", ledger={train: "validation", held_out: "eval", "gone": "train"})
    assert sided.rows.select("example_id", "side").rows() == [("a", "validation"), ("b", "validation"), ("c", "eval")]
    assert sided.ledger_held == 1

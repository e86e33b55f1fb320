from ft_assets.dataset.ledger import rebuild_ledger, sides_in
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions
from ft_assets.state import State

LINE = "qa-engineer"


def test_a_lost_ledger_is_rebuilt_from_the_snapshots_in_their_order(many, tmp_path):
    state = State(f"sqlite:///{tmp_path}/state.db")
    folders = []
    for digest, rows, share in (("aaa", 120, 0.1), ("bbb", 160, 0.4), ("ccc", 200, 0.05)):
        folders.append(tmp_path / digest)
        fractions, ledger = SplitFractions(eval_fraction=share), state.sides(LINE)
        build_snapshot(many.head(rows), Selector(), "key", fractions, [], None, folders[-1], ledger=ledger)
        state.record_sides(LINE, sides_in(folders[-1]), digest)
    assert len(state.sides(LINE)) == 200
    assert set(state.sides(LINE).values()) == {"train", "validation", "eval"}

    empty = State(f"sqlite:///{tmp_path}/new.db")
    assert rebuild_ledger(empty, LINE, folders) == 200
    assert empty.sides(LINE) == state.sides(LINE)
    assert rebuild_ledger(empty, LINE, folders[::-1]) == 200
    assert empty.sides(LINE) == state.sides(LINE)


def test_a_cluster_never_changes_its_side_once_it_is_in_the_ledger(many, tmp_path):
    build_snapshot(many, Selector(), "key", SplitFractions(), [], None, tmp_path / "a")
    before = sides_in(tmp_path / "a")
    build_snapshot(many, Selector(), "other key", SplitFractions(), [], None, tmp_path / "b", ledger=before)
    assert sides_in(tmp_path / "b") == before

import random

import pytest

from ft_assets.dataset.planted import KINDS, planted_recall
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions


@pytest.fixture
def folder(row, curated, conversation, tmp_path):
    """A snapshot of 300 rows whose words were drawn by lot: 40 to 80 of them, and every tenth row only five."""
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(2_000)]

    def said(number: int, share: float) -> str:
        return " ".join(draw.choices(words, k=5 if number % 10 == 0 else int(draw.randint(40, 80) * share)))

    rows = [row(f"e{i:03d}", messages=conversation(said(i, 0.6), said(i, 0.4))) for i in range(300)]
    build_snapshot(curated(rows), Selector(), "key", SplitFractions(eval_fraction=0.3), [], None, tmp_path)
    return tmp_path


def test_copies_of_every_kind_are_found_again(folder, golden_row):
    golden = [golden_row("Which of our services is the one that must never be restarted on a Friday?", "The ledger.")]
    found = planted_recall(folder, golden, seed=1)
    assert set(found) == set(KINDS)
    assert {kind: recall.share for kind, recall in found.items() if kind != "excerpt"} == dict.fromkeys(
        set(KINDS) - {"excerpt"}, 1.0
    )
    assert (found["excerpt"].share or 0) > 0.95
    assert found["whole_copy"].too_short == 0 < found["word_edits"].too_short <= found["excerpt"].too_short
    assert all(recall.planted + recall.too_short == found["whole_copy"].planted for recall in found.values())


def test_the_same_seed_plants_the_same_copies(folder):
    assert planted_recall(folder, [], seed=3) == planted_recall(folder, [], seed=3)


def test_where_nothing_is_held_out_nothing_is_planted(row, curated, tmp_path):
    build_snapshot(curated([row("a")]), Selector(), "key", SplitFractions(eval_fraction=0), [], None, tmp_path)
    assert {recall.share for recall in planted_recall(tmp_path, []).values()} == {None}

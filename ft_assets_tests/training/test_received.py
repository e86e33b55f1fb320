import json
from pathlib import Path

from ft_assets.conversation_digests import conversation_digest
from ft_assets.training.received import RECEIVED_FILE, received, write_received
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.training.samples import commit_rows, judged_answers, preference_pairs


def given(seed: int = 1) -> TrainingRows:
    return TrainingRows(
        SideRows(commit_rows(5, seed), preference_pairs(4, seed), judged_answers(3, seed)), SideRows(commit_rows(2, 9))
    )


def test_every_row_is_there_under_its_id_with_the_digests_of_what_was_encoded() -> None:
    rows = given()
    found = received(rows)
    assert {side: {kind: len(ids) for kind, ids in kinds.items()} for side, kinds in found.items()} == {
        "train": {"examples": 5, "pairs": 4, "judged": 3},
        "validation": {"examples": 2},
    }
    first, pair = rows.train.examples[0], rows.train.pairs[0]
    assert found["train"]["examples"][first.example_id] == [conversation_digest(first.messages)]
    both = [conversation_digest([*pair.prompt, *answer]) for answer in (pair.chosen, pair.rejected)]
    assert found["train"]["pairs"][pair.pair_id] == both and both[0] != both[1]


def test_the_file_is_the_same_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = given()
    turned = SideRows(rows.train.examples[::-1], rows.train.pairs[::-1], rows.train.judged[::-1])
    for name, each in (("a", rows), ("b", TrainingRows(turned, rows.validation))):
        (tmp_path / name).mkdir()
        write_received(tmp_path / name, each)
    written = [(tmp_path / name / RECEIVED_FILE).read_bytes() for name in ("a", "b")]
    assert written[0] == written[1] and json.loads(written[0]) == received(rows)

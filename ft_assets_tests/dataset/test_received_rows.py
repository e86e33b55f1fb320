import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from ft_assets.conversation_digests import conversation_digest
from ft_assets.dataset.judged_rows import read_judged
from ft_assets.dataset.preference_rows import read_preferences
from ft_assets.dataset.received_rows import received_problems, refuse_received
from ft_assets.dataset.rows import read_side
from ft_assets.errors import IncompleteArtifact, LeakFound
from ft_assets.records import Side
from ft_assets_tests.dataset.test_judged_rows import of_every_side
from ft_assets_tests.dataset.test_preference_leaks import pair

KINDS = ("examples", "pairs", "judged")


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Rows of every kind, on every side that has the kind."""
    of_every_side(tmp_path)
    pairs = [pair(side, side=side) for side in ("eval", "train", "validation")]
    (tmp_path / "preferences.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    return tmp_path


def as_received(snapshot: Path) -> dict[str, Any]:
    """What an honest training of all kinds writes down."""

    def of(side: Side) -> dict[str, dict[str, list[str]]]:
        pairs = read_preferences(snapshot, side)
        return {
            "examples": {row.example_id: [conversation_digest(row.messages)] for row in read_side(snapshot, side)},
            "pairs": {
                row.pair_id: [conversation_digest([*row.prompt, *said]) for said in (row.chosen, row.rejected)]
                for row in pairs
            },
            "judged": {row.example_id: [conversation_digest(row.messages)] for row in read_judged(snapshot, side)},
        }

    return {"train": of("train"), "validation": of("validation")}


def test_the_rows_of_the_snapshot_and_no_others_are_fine(snapshot: Path, golden_row: Any) -> None:
    honest, golden = as_received(snapshot), [golden_row("what is frozen?", "this")]
    assert received_problems(honest, snapshot, golden, KINDS) == {}
    refuse_received(honest, snapshot, golden, KINDS)
    only = {side: {"examples": kinds["examples"]} for side, kinds in honest.items()}
    assert received_problems(only, snapshot, golden, ["examples"]) == {}


def test_an_eval_row_is_found_by_its_id_and_a_copy_by_its_text(snapshot: Path) -> None:
    (on_eval, *_), honest = read_side(snapshot, "eval"), as_received(snapshot)
    text = conversation_digest([turn.model_copy(update={"content": turn.content.upper()}) for turn in on_eval.messages])
    for kind in KINDS:
        planted = deepcopy(honest)
        planted["train"][kind][on_eval.example_id] = ["0" * 64]
        planted["validation"][kind]["innocent"] = ["1" * 64, text]
        found = received_problems(planted, snapshot, [], KINDS)
        assert found == {
            f"train/{kind}/{on_eval.example_id}": "of the eval side or a copy of it",
            f"validation/{kind}/innocent": "of the eval side or a copy of it",
        }
        with pytest.raises(LeakFound, match=r"2 of the eval side.*lora_checkpoint"):
            refuse_received(planted, snapshot, [], KINDS)


def test_an_eval_pair_and_a_golden_row_are_found_too(snapshot: Path, golden_row: Any) -> None:
    (held,), honest = read_preferences(snapshot, "eval"), as_received(snapshot)
    frozen = golden_row("what is frozen?", "this")
    honest["train"]["examples"]["a"] = [conversation_digest([*held.prompt, *held.rejected])]
    honest["train"]["examples"]["b"] = [conversation_digest(frozen.messages)]
    honest["train"]["examples"]["g1"] = ["0" * 64]
    assert received_problems(honest, snapshot, [frozen], KINDS) == {
        "train/examples/a": "of the eval side or a copy of it",
        "train/examples/b": "of the golden set or a copy of it",
        "train/examples/g1": "of the golden set or a copy of it",
    }


def test_a_foreign_a_missing_and_a_changed_row_are_named(snapshot: Path) -> None:
    received = as_received(snapshot)
    first, second = sorted(received["train"]["examples"])
    received["train"]["examples"] |= {first: ["0" * 64], "foreign": ["1" * 64]}
    del received["train"]["examples"][second]
    received["train"]["judged"], received["validation"]["judged"] = (
        received["validation"]["judged"],
        received["train"]["judged"],
    )
    found = received_problems(received, snapshot, [], KINDS)
    assert found["train/examples/foreign"] == "not of the snapshot's side"
    assert found[f"train/examples/{first}"] == "with another text than there"
    assert found[f"train/examples/{second}"] == "missing"
    assert sum("judged" in place for place in found) == 12


def test_a_record_that_says_nothing_proves_nothing(snapshot: Path) -> None:
    assert set(received_problems({}, snapshot, [], ["examples"]).values()) == {"missing"}
    odd = as_received(snapshot) | {"eval": {}}
    assert received_problems(odd, snapshot, [], KINDS) == {"eval": "a side that nothing is trained on"}
    unasked = received_problems(as_received(snapshot), snapshot, [], ["examples", "pairs"])
    assert set(unasked.values()) == {"not of the snapshot's side"} and len(unasked) == 6
    (snapshot / "judged.jsonl").unlink()
    with pytest.raises(IncompleteArtifact, match="judged"):
        received_problems({}, snapshot, [], ["judged"])

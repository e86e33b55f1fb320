import json
from pathlib import Path
from typing import Any

import pytest

from ft_assets.dataset.preference_leaks import preference_leaks, refuse_leaking_preferences
from ft_assets.errors import IncompleteArtifact, LeakFound

LONG = " ".join(f"word{number}" for number in range(40))
FROZEN = " ".join(f"frozen{number}" for number in range(40))


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def pair(name: str, **differs: Any) -> dict[str, Any]:
    made = {
        "pair_id": name,
        "side": "train",
        "cluster_ids": [f"cluster of {name}"],
        "example_ids": [name],
        "interaction_ids": [name],
        "origin": "correction",
        "gap": None,
        "role": None,
        "task_type": "chat",
        "reasoning_mode": "standard",
        "prompt": [turn("user", f"prompt of {name}")],
        "chosen": [turn("assistant", f"good {name}")],
        "rejected": [turn("assistant", f"bad {name}")],
    }
    return made | differs


def snapshot(folder: Path, *pairs: dict[str, Any]) -> Path:
    """One row on the eval side, one of validation, and these pairs."""
    for side, text in (("train", "else"), ("validation", "watched"), ("eval", LONG)):
        row = {
            "example_id": side,
            "cluster_id": f"cluster of {side}",
            "prompt_id": side,
            "role": None,
            "task_type": "chat",
            "reasoning_mode": "standard",
            "messages": [turn("user", f"asked on {side}"), turn("assistant", text)],
            "interaction_ids": [side],
        }
        (folder / f"{side}.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "preferences.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    return folder


def test_pairs_that_share_nothing_are_clean(tmp_path: Path) -> None:
    held = pair("held", side="eval", cluster_ids=["cluster of eval"], prompt=[turn("user", "asked on eval")])
    assert preference_leaks(snapshot(tmp_path, pair("a"), pair("b"), held), []) == {}
    refuse_leaking_preferences(snapshot(tmp_path), [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"cluster_ids": ["own", "cluster of eval"]}, "the same cluster"),
        ({"cluster_ids": ["cluster of validation"]}, "the same cluster"),
        ({"cluster_ids": ["cluster of held"]}, "the same cluster"),
        ({"prompt": [turn("user", "asked on validation")]}, "the same prompt"),
        ({"prompt": [turn("user", "asked of FROZEN")]}, "the golden set"),
        ({"rejected": [turn("assistant", f"well {LONG}")]}, "a copy of what it is judged by"),
        ({"chosen": [turn("assistant", f"well {FROZEN}")]}, "a copy of what it is judged by"),
    ],
)
def test_each_way_to_leak_is_found(golden_row: Any, tmp_path: Path, differs: dict[str, Any], why: str) -> None:
    folder = snapshot(tmp_path, pair("a", **differs), pair("b"), pair("held", side="eval"))
    golden = [golden_row("asked of frozen", FROZEN)]
    assert preference_leaks(folder, golden) == {"a": why}
    with pytest.raises(LeakFound, match=f"1 preference pairs.*{why}"):
        refuse_leaking_preferences(folder, golden)


def test_a_snapshot_without_the_file_is_not_clean_but_incomplete(tmp_path: Path) -> None:
    (snapshot(tmp_path) / "preferences.jsonl").unlink()
    with pytest.raises(IncompleteArtifact, match="train_eval_split"):
        preference_leaks(tmp_path, [])

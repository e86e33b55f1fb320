"""The blocking check of a snapshot on what was written, whatever made it."""

import json
from pathlib import Path

import pytest

from ft_assets.dataset.judged_rows import JUDGED_FILE
from ft_assets.dataset.rows import read_side
from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.snapshot_checks import nothing_leaks
from ft_assets.defs.training import refuse_leaks
from ft_assets.errors import LeakFound
from ft_assets.lake import Lake
from ft_assets_tests.dataset.test_judged_rows import of_every_side


def test_a_judged_row_that_answers_what_the_eval_side_asks_stops_the_snapshot_and_the_training(
    lake: Lake, tmp_path: Path
) -> None:
    folder, spec = tmp_path / "snapshot", SPECIALIZATIONS["qa-engineer"]
    of_every_side(folder)
    clean = lake.put_artifact("snapshot", folder)
    assert nothing_leaks(lake, spec, clean).passed
    refuse_leaks(lake, spec, clean.digest)

    asked = read_side(folder, "eval")[0].messages[:-1]
    *others, last = (folder / JUDGED_FILE).read_text().splitlines()
    said = [*(turn.model_dump(exclude_none=True) for turn in asked), {"role": "assistant", "content": "bad"}]
    planted = json.loads(last) | {"example_id": "planted", "cluster_id": "own", "side": "train", "messages": said}
    (folder / JUDGED_FILE).write_text("\n".join([*others, last, json.dumps(planted)]) + "\n")
    leaking = lake.put_artifact("snapshot", folder)
    found = nothing_leaks(lake, spec, leaking)
    assert not found.passed and found.metadata["leaking_judged_rows"].value == {"planted": "the same prompt"}
    with pytest.raises(LeakFound, match="planted"):
        refuse_leaks(lake, spec, leaking.digest)

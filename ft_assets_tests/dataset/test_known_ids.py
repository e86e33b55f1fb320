from pathlib import Path

from ft_assets.dataset.known_ids import known_ids
from ft_assets.erasure.artifacts import erase_artifact
from ft_assets.lake import Lake


def test_the_ids_of_a_snapshot_are_known_after_its_rows_were_erased(tmp_path: Path) -> None:
    lake, folder = Lake(str(tmp_path / "lake")), tmp_path / "snapshot"
    folder.mkdir()
    for side, name in (("train", "a"), ("validation", "b"), ("eval", "c")):
        row = f'{{"cluster_id":"k","example_id":"{name}","interaction_ids":["i"],"messages":[],"prompt_id":"p",'
        row += '"reasoning_mode":"standard","role":null,"task_type":null}\n'
        (folder / f"{side}.jsonl").write_text(row)
    digest = lake.put_artifact("snapshot", folder).digest
    before = known_ids(lake, digest), known_ids(lake, digest, ["train"])
    assert before == (["a", "b", "c"], ["a"])
    erase_artifact(lake, "snapshot", digest, "hash")
    assert (known_ids(lake, digest), known_ids(lake, digest, ["train"])) == before

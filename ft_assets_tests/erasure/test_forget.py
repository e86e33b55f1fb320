import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.erasure import forget as forgetting
from ft_assets.erasure.forget import forget
from ft_assets.errors import BadConfiguration, BadInput, Erased, PromotionRefused
from ft_assets.lake_artifacts import ERASED
from ft_assets.lake_folders import LocalFolders
from ft_assets.lake_tables import DeltaTables
from ft_assets.state_forgotten import forget_journal
from ft_assets.state_relearn import must_relearn
from ft_assets.state_taints import taints
from ft_assets_tests.erasure.world import (
    BASE,
    FIRST,
    LINE,
    MARKER,
    SECOND,
    USER,
    World,
    forgotten,
    places,
    places_of,
    record,
)

pytestmark = pytest.mark.slow


def test_a_marker_in_a_users_texts_is_nowhere_afterwards(world: World) -> None:
    before = places_of(MARKER, world.folder)
    kinds = {Path(place).relative_to(world.folder).parts[:2] for place in before}
    assert {("lake", "landing"), ("lake", "tables"), ("lake", "artifacts"), ("lake", "review")} <= kinds
    assert ("dagster", "storage") in kinds and ("dagster", "history") in kinds
    done = forgotten(world)
    assert done.unfinished == []
    assert places_of(MARKER, world.folder) == []
    assert places_of("ada.forgotten", world.folder) == [], "not even the name stays, only its keyed hash"


def test_rows_of_everybody_else_stay_in_landing_and_in_the_tables(world: World) -> None:
    mine = pl.col("user_id").str.to_lowercase() == USER.lower()
    before = world.lake.scan("raw_interactions").filter(~mine).sort("interaction_id").collect()
    forgotten(world)
    assert world.lake.scan("raw_interactions").sort("interaction_id").collect().equals(before)
    again = pl.concat([each.rows for each in world.ingest().values()]).sort("interaction_id")
    same_place = pl.col("source_file").str.contains("jsonl|csv")  # in files of lines every record keeps its place
    assert again.filter(same_place).equals(before.filter(same_place))
    assert again.drop("source_line").equals(before.drop("source_line"))
    curated = world.lake.scan("curated_examples").collect()
    assert curated.height and not curated["user_id"].str.to_lowercase().eq(USER.lower()).any()
    assert world.lake.scan("feedback").collect()["interaction_id"].to_list() == ["row-101"]
    assert (world.folder / "lake" / "work" / "tokens" / "tokens-of-others").exists()
    assert "began" in (world.home / "storage" / "run-1" / "compute_logs" / "step.err").read_text()


def test_ingest_refuses_the_user_for_ever_in_any_spelling(world: World) -> None:
    forgotten(world)
    late = [record(900, USER), {**record(901, USER), "user_id": f" {USER.lower()}\u200b"}, record(902, "somebody else")]
    world.lake.land("2026-04-01", "late.jsonl", "".join(f"{json.dumps(each)}\n" for each in late).encode())
    day = world.ingest()["2026-04-01"]
    assert day.rows["user_id"].to_list() == ["somebody else"]
    assert [(each.rule, each.place) for each in day.rejections] == [
        ("user_forgotten", "late.jsonl:1"),
        ("user_forgotten", "late.jsonl:2"),
    ]
    assert all("orgotten" not in each.reason.replace("forgotten", "") for each in day.rejections)


def test_readers_of_what_was_erased_are_told_so_and_ids_and_manifests_stay(
    world: World, digests: dict[str, str]
) -> None:
    ids = {line.split('"')[3] for line in _train_lines(world, digests["snapshot"])}
    forgotten(world)
    for kind in ("snapshot", "report", "review", "export", "something"):
        with pytest.raises(Erased, match="erased by request"):
            world.lake.artifact(kind, digests[kind])
        assert not world.lake.has_artifact(kind, digests[kind])
        assert digests[kind] in world.lake.artifacts(kind), "the manifest stays"
    assert world.lake.artifact("data_card", digests["data_card"]), "counts hold no text"
    assert world.lake.artifact("adapter", digests["adapter"]), "weights stay, and are tainted"
    left = json.loads((_folder(world, "snapshot", digests) / ERASED).read_text())
    assert {row["cluster_id"] for row in left["rows"]["train.jsonl"]} == ids
    assert all(row["interaction_ids"] for row in left["rows"]["train.jsonl"])
    assert json.loads((_folder(world, "report", digests) / ERASED).read_text())["verdict"]["outcome"] == "promote"


def test_what_was_erased_cannot_be_stored_again(world: World, digests: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(_folder(world, "snapshot", digests), tmp_path / "kept_aside")
    forgotten(world)
    with pytest.raises(Erased):
        world.lake.put_artifact("snapshot", tmp_path / "kept_aside")


def test_models_that_learned_from_the_rows_are_tainted_and_a_tainted_champion_is_named(
    world: World, digests: dict[str, str]
) -> None:
    done = forgotten(world)
    assert done.found.models == {digests["adapter"]} and done.found.snapshots == {digests["snapshot"]}
    assert done.tainted_champions == {LINE: digests["adapter"]}
    assert [taint.by for taint in taints(world.state)[digests["adapter"]]] == ["an operator"]
    with pytest.raises(PromotionRefused, match="forgotten"):
        world.state.promote("another-line", digests["adapter"], None, "somebody", "why", "evidence")
    assert world.lake.scan("predictions").filter(model_digest=digests["adapter"]).collect().is_empty()
    base = world.lake.scan("predictions").filter(model_digest=BASE).collect()
    assert base.height, "what the base answered to others stays"


def test_a_dry_run_names_what_would_go_and_changes_nothing(world: World, digests: dict[str, str]) -> None:
    before = _content(world.folder)
    told = forgotten(world, dry_run=True)
    after = _content(world.folder)
    assert {name for name in before if before[name] != after.get(name)} <= {"state.db", "state.db-wal", "state.db-shm"}
    assert forget_journal(world.state) == [] and taints(world.state) == {}
    done = forgotten(world)
    assert told.found.as_dict() == done.found.as_dict()
    assert told.landing.rewritten == done.landing.rewritten and told.tables.rows == done.tables.rows
    assert told.artifacts == done.artifacts and told.traces == done.traces
    assert sorted(told.found.days) == [FIRST, SECOND], "these are curated again"


@pytest.mark.parametrize("nth", [1, 4, 9, 16, 25, 36])
def test_an_erasure_that_is_killed_at_any_change_is_finished_by_running_it_again(
    world: World, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends instead of the nth change to the lake, or right behind it."""
    changes = [0]

    def dies(real: Callable[..., Any], behind: bool) -> Callable[..., Any]:
        def changing(*arguments: Any) -> Any:
            changes[0] += 1
            if changes[0] == nth and not behind:
                raise KeyboardInterrupt
            result = real(*arguments)
            if changes[0] == nth:
                raise KeyboardInterrupt
            return result

        return changing

    monkeypatch.setattr(LocalFolders, "write", dies(LocalFolders.write, nth % 2 == 0))
    monkeypatch.setattr(LocalFolders, "remove", dies(LocalFolders.remove, nth % 2 == 0))
    monkeypatch.setattr(DeltaTables, "replace", dies(DeltaTables.replace, nth % 2 == 0))
    with pytest.raises(KeyboardInterrupt):
        forgotten(world)
    monkeypatch.undo()
    done = forgotten(world)
    assert done.unfinished == [] and len(done.found.models) == 1
    assert places_of(MARKER, world.folder) == []
    assert [line.step for line in forget_journal(world.state)].count("finished") == 1


def test_running_it_again_after_the_end_changes_nothing(world: World) -> None:
    first = forgotten(world)
    before = _content(world.folder / "lake")
    again = forgotten(world)
    assert again.unfinished == [] and again.found.as_dict() == first.found.as_dict()
    assert _content(world.folder / "lake") == before


def test_a_landing_file_that_cannot_be_read_and_points_to_the_user_waits_for_a_person(world: World) -> None:
    torn = (world.folder / "lake" / "landing" / FIRST / "packed.jsonl.gz").read_bytes()[:-20]
    world.lake.land(SECOND, "torn.jsonl.gz", torn)
    world.lake.land(SECOND, "notes.txt", f"a talk about the {USER} case".encode())
    world.lake.land(SECOND, "strange.txt", b"nothing in here")
    done = forgotten(world)
    assert set(done.landing.quarantined) == {f"landing/{SECOND}/torn.jsonl.gz", f"landing/{SECOND}/notes.txt"}
    assert list(done.landing.unread) == [f"landing/{SECOND}/strange.txt"]
    assert "--delete-unreadable" in done.unfinished[0]
    assert {file.name for file in world.lake.landing_files(SECOND)}.isdisjoint({"torn.jsonl.gz", "notes.txt"})
    shutil.rmtree(world.folder / "lake" / "quarantine")
    assert forgotten(world).unfinished == []
    assert places_of(MARKER, world.folder) == []


def test_a_row_that_a_run_commits_meanwhile_goes_with_a_later_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that had read the user's rows before writes them after the tables were cleaned, once."""
    rows = world.lake.scan("raw_interactions", {"day": [FIRST]}).collect()
    real, late = forgetting.erase_landing, [rows]

    def and_a_run_commits(*arguments: Any) -> Any:
        if late:
            world.lake.replace("raw_interactions", late.pop(), {"day": [FIRST]})
        return real(*arguments)

    monkeypatch.setattr(forgetting, "erase_landing", and_a_run_commits)
    assert forgotten(world).unfinished == []
    assert places_of(MARKER, world.folder) == []


def test_the_days_are_curated_again_and_the_line_learns_a_model_that_can_be_promoted(
    world: World, digests: dict[str, str]
) -> None:
    forgotten(world)
    assert "its champion is tainted" in str(must_relearn(world.state, LINE))
    world.ingest()
    world.curate()
    snapshot = world.snapshot()
    adapter = world.train(snapshot)
    assert snapshot.digest != digests["snapshot"] and must_relearn(world.state, LINE) is None
    world.state.promote(LINE, adapter.digest, digests["adapter"], "somebody", "a clean one", "evidence")
    assert places_of(MARKER, world.folder) == []
    again = forgotten(world)
    assert again.found.models == {digests["adapter"]} and again.tainted_champions == {}


def test_another_key_than_the_one_that_made_the_hashes_is_refused(world: World) -> None:
    forgotten(world)
    with pytest.raises(BadConfiguration, match="FT_ASSETS_SPLIT_KEY"):
        forget(places(world), "somebody", "another secret", "an operator")
    with pytest.raises(BadInput, match="empty"):
        forgotten(world, " \u200b ")


def test_a_user_whom_nobody_knows_is_refused_from_now_on_and_nothing_goes(world: World) -> None:
    before = _content(world.folder / "lake" / "landing")
    done = forgotten(world, "nobody-knows-me")
    assert not done.found.snapshots and not done.artifacts and not done.tables.rows and done.unfinished == []
    assert _content(world.folder / "lake" / "landing") == before
    assert [line.step for line in forget_journal(world.state)] == ["asked", "finished"]


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _folder(world: World, kind: str, digests: dict[str, str]) -> Path:
    return world.folder / "lake" / "artifacts" / kind / digests[kind]


def _train_lines(world: World, digest: str) -> list[str]:
    return (world.folder / "lake" / "artifacts" / "snapshot" / digest / "train.jsonl").read_text().splitlines()

import json
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from ft_assets.errors import BadInput
from ft_assets.lake import Lake
from ft_assets.retention.housekeeping import Plan, by_reason, housekeeping, remove_artifact
from ft_assets.retention.raw_days import refuse_without_raw
from ft_assets.retention.reachable import Node
from ft_assets.retention.rules import RetentionRules
from ft_assets.state import State
from ft_assets.state_leases import Leases
from ft_assets.state_registry import Registered, record_evaluation, record_registration

NOW = datetime.now(UTC)
OLD, YOUNG = 40, 3  # days; the grace is 14
LINE = "qa-engineer"


class House:
    """A lake of small artifacts whose ages are as a test says."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lake = Lake(str(folder / "lake"), folder / "cache")
        self.url = f"sqlite:///{folder}/state.db"
        self.state = State(self.url)

    def put(self, kind: str, age_days: float = OLD, **files: Any) -> str:
        source = self.folder / "source" / f"{len(list(self.folder.glob('source/*')))}"
        source.mkdir(parents=True)
        for name, content in files.items():
            path = source / name.replace("__", ".")
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        digest = self.lake.put_artifact(kind, source).digest
        self.age(kind, digest, age_days)
        return digest

    def age(self, kind: str, digest: str, days: float) -> None:
        for path in (self.folder / "lake" / "artifacts" / kind / digest).rglob("*"):
            _age(path, days)

    def snapshot(self, name: str, age_days: float = OLD) -> str:
        return self.put("snapshot", age_days, train__jsonl=name, recipe__json={"selector": name})

    def adapter(self, snapshot: str, base: str = "", name: str = "", age_days: float = OLD) -> str:
        origin = {"snapshot": snapshot, "base_digest": base}
        return self.put("adapter", age_days, weights=f"{snapshot}{base}{name}", provenance__json=origin)

    def report(self, candidate: str, champion: str = "") -> str:
        return self.put("report", report__json={"models": {"candidate": candidate, "champion": champion}})

    def register(self, adapter: str, snapshot: str, base: str = "f" * 64, line: str = LINE) -> None:
        number = self.state.assign_version(line, adapter)
        names = (f"ea-{line}-v{number}", "domain-specific", snapshot, base, "recipe", "somebody")
        record_registration(self.state, Registered(line, adapter, number, *names, NOW))

    def clear_up(self, dry_run: bool = False, **more: Any) -> Plan:
        return housekeeping(self.lake, self.state, RetentionRules(), dry_run, now=NOW, **more)

    def there(self) -> set[Node]:
        return {
            (kind, digest) for kind in self.lake.folders.subfolders("artifacts") for digest in self.lake.artifacts(kind)
        }


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def _age(path: Path, days: float) -> None:
    at = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))


def test_what_a_registered_model_uses_stays_and_what_nobody_reaches_goes(house: House) -> None:
    base, unused = house.put("base_model", model="b"), house.put("base_model", model="c")
    used = house.snapshot("used")
    loser_rows = house.put("snapshot", train__jsonl="x", recipe__json={"selector": "used"})
    champion = house.adapter(used, base)
    loser = house.adapter(loser_rows, unused)
    evidence, about_loser = house.report(champion), house.report(loser, champion)
    card = house.put("data_card", facts__json={"snapshot": used})
    other_card = house.put("data_card", facts__json={"snapshot": loser_rows})
    for digest in (loser_rows, used):  # newer ones of the same recipe: the last three stay
        house.age("snapshot", digest, OLD + 10)
    newer = [house.put("snapshot", train__jsonl=str(n), recipe__json={"selector": "used"}) for n in range(3)]
    house.register(champion, used, base)
    house.state.promote(LINE, champion, None, "somebody", "better", evidence)
    told = house.clear_up(dry_run=True)
    assert house.there() >= {("adapter", loser), ("report", about_loser)}, "a dry run deletes nothing"
    done = house.clear_up()
    assert [each.place for each in done.goes] == [each.place for each in told.goes] and done.kept == told.kept
    gone = {("adapter", loser), ("snapshot", loser_rows), ("base_model", unused), ("report", about_loser)}
    assert {tuple(each.place.split("/")[1:]) for each in done.goes} == gone | {("data_card", other_card)}
    kept = {("adapter", champion), ("snapshot", used), ("base_model", base), ("report", evidence), ("data_card", card)}
    assert house.there() == kept | {("snapshot", digest) for digest in newer}
    assert done.kept[f"artifacts/adapter/{champion}"] == f"in the champion history of {LINE}"
    assert "about snapshot" in done.kept[f"artifacts/data_card/{card}"]
    assert all(each.why for each in done.goes) and sum(by_reason(done.kept.values()).values()) == len(done.kept)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_reachable_is_ever_deleted_in_random_graphs(house: House, seed: int) -> None:
    """Against a reference that walks from each root by itself."""
    draw = random.Random(seed)
    bases = [house.put("base_model", model=str(n)) for n in range(4)]
    snapshots = [
        house.put("snapshot", draw.choice([OLD, YOUNG]), rows=str(n), recipe__json=str(n % 2)) for n in range(14)
    ]
    uses: dict[str, tuple[str, str]] = {}
    for n in range(16):
        origin = draw.choice(snapshots), draw.choice(bases)
        uses[house.adapter(*origin, name=str(n), age_days=draw.choice([OLD, OLD, YOUNG]))] = origin
    adapters = list(uses)
    reports = {house.report(candidate, draw.choice(adapters)): candidate for candidate in draw.sample(adapters, 10)}
    lines = ["line-a", "line-b"]
    roots: set[Node] = set()
    for adapter in draw.sample(adapters, 4):
        line = draw.choice(lines)
        house.register(adapter, *uses[adapter], line=line)
        roots |= {("adapter", adapter), ("snapshot", uses[adapter][0]), ("base_model", uses[adapter][1])}
        before = house.state.champion(line)
        if draw.random() < 0.6:
            evidence = draw.choice(list(reports))
            house.state.promote(line, adapter, before.model_digest if before else None, "s", "w", evidence)
            roots.add(("report", evidence))
    for adapter in draw.sample(adapters, 5):
        house.state.record_trained(draw.choice(lines), uses[adapter][0], "recipe", uses[adapter][1], adapter)
    for line in lines:
        trained = house.state.trained(line)
        recent = list(dict.fromkeys(each.snapshot for each in reversed(trained)))[:3]
        roots |= {("snapshot", snapshot) for snapshot in recent}
        if trained:
            roots.add(("adapter", trained[-1].model_digest))
    before_it = house.there()
    young = {node for node in before_it if _age_days(house, node) < 14}
    house.clear_up()
    needed = roots | young
    for kind, digest in list(needed):
        if kind == "adapter":
            needed |= {("snapshot", uses[digest][0]), ("base_model", uses[digest][1])}
    needed |= {("report", report) for report, candidate in reports.items() if ("adapter", candidate) in needed}
    assert needed & before_it <= house.there()
    for kind, digest in needed & before_it:
        assert house.lake.artifact(kind, digest)
    left_over = house.there() - needed
    assert all(kind == "snapshot" for kind, _ in left_over), "of each recipe the newest three stay besides"


def test_what_a_run_stores_again_while_things_are_deleted_stays_whole(house: House) -> None:
    """Old artifacts that nobody reaches; writers store half of them again while they are being deleted."""
    sources = {house.put("export", data=f"{n}" * 1000): house.folder / "source" / str(n) for n in range(60)}
    again = list(sources)[::2]
    barrier = threading.Barrier(4)

    def store(digests: list[str]) -> None:
        barrier.wait()
        for digest in digests:
            assert house.lake.put_artifact("export", sources[digest]).digest == digest

    def delete(digests: list[str]) -> None:
        barrier.wait()
        for digest in digests:
            remove_artifact(house.lake, "export", digest, (NOW - timedelta(days=14)).timestamp())

    threads = [threading.Thread(target=store, args=[again[part::2]]) for part in range(2)]
    threads += [threading.Thread(target=delete, args=[list(sources)[part::2]]) for part in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for digest in again:
        assert house.lake.artifact("export", digest)
    assert set(house.lake.artifacts("export")) == set(again)
    folder = house.folder / "lake" / "artifacts" / "export"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_living_lease_keeps_what_its_training_began_with_until_a_model_was_trained(house: House) -> None:
    began = house.snapshot("of the training", age_days=20)
    before = house.snapshot("long before", age_days=35)
    for n in range(3):
        house.put("snapshot", 15, train__jsonl=f"{n}", recipe__json={"selector": "of the training"})
        house.put("snapshot", 15, train__jsonl=f"{n}!", recipe__json={"selector": "long before"})
    Leases(house.url).take(LINE, "run 1")
    _backdate_leases(house, days=20)
    house.clear_up()
    assert ("snapshot", began) in house.there() and ("snapshot", before) not in house.there()
    house.state.record_trained(LINE, "e" * 64, "recipe", "f" * 64, "d" * 64)
    house.clear_up()
    assert ("snapshot", began) not in house.there()


def test_caches_and_checkpoints_go_when_nothing_used_them(house: House) -> None:
    for name, age in (("old", 31), ("recent", 8), ("new", 1)):
        for place in ("tokens", "training"):
            folder = house.lake.work_dir(place, name)
            (folder / "file.arrow").write_bytes(b"tokens")
            _age(folder / "file.arrow", age)
            _age(folder, age)
    told = {each.place for each in house.clear_up(dry_run=True).goes}
    assert told == {"work/tokens/old", "work/training/old", "work/training/recent"}
    done = house.clear_up()
    assert {each.place for each in done.goes} == told
    assert {path.name for path in house.lake.work_dir("tokens").iterdir()} == {"recent", "new"}
    assert {path.name for path in house.lake.work_dir("training").iterdir()} == {"new"}
    assert done.kept["work/tokens/recent"] == "used 8 days ago, kept for 30"


def test_older_versions_of_tables_go_after_the_grace_and_scattered_partitions_become_one_file(house: House) -> None:
    rows = pl.DataFrame({"day": ["2026-01-01"], "value": [1]})
    for value in range(3):
        house.lake.replace("numbers", rows.with_columns(value=pl.lit(value, pl.Int64)), {"day": ["2026-01-01"]})
    assert house.clear_up().tables == {}, "they are younger than the grace"
    write_deltalake(f"{house.lake.tables.uri}/numbers", rows, mode="append", partition_by=["day"])
    told = house.clear_up(dry_run=True)
    assert told.compacted == {"numbers": 1}
    house.clear_up()
    assert house.lake.scan("numbers").collect().sort("value")["value"].to_list() == [1, 2]
    assert house.clear_up(dry_run=True).compacted == {}
    leftover = house.folder / "lake" / "tables" / "numbers" / "day=2026-01-01" / "part-of-a-dead-writer.parquet"
    leftover.write_bytes(b"half")
    assert house.clear_up().goes == []
    _age(leftover, 20)
    assert [each.place for each in house.clear_up().goes] == [f"tables/numbers/day=2026-01-01/{leftover.name}"]
    assert not leftover.exists()


def test_unmasked_rows_past_their_time_go_and_such_a_day_is_not_curated_again(house: House) -> None:
    past, recent = (NOW - timedelta(days=120)).date().isoformat(), (NOW - timedelta(days=5)).date().isoformat()
    landed_late = (NOW - timedelta(days=200)).date().isoformat()
    for day in (past, recent, landed_late):
        house.lake.land(day, "log.jsonl", b"{}")
        for table in ("raw_interactions", "feedback", "curated_examples"):
            house.lake.replace(table, pl.DataFrame({"day": [day], "text": ["raw"]}), {"day": [day]})
    _age(house.folder / "lake" / "landing" / past / "log.jsonl", 100)
    done = house.clear_up()
    assert {each.place for each in done.goes} == {
        f"landing/{past}", f"tables/raw_interactions/day={past}", f"tables/feedback/day={past}"
    }  # fmt: skip
    assert house.lake.landing_days() == sorted([landed_late, recent]), "what landed lately may not be curated yet"
    assert set(house.lake.fingerprints("curated_examples")) == {past, recent, landed_late}
    with pytest.raises(BadInput, match=f"{past} were deleted after raw_retention_days"):
        refuse_without_raw(house.lake, [past, recent], 90, NOW)
    refuse_without_raw(house.lake, [recent, landed_late], 90, NOW)


def test_what_was_erased_by_request_keeps_its_ids_and_what_somebody_else_needs_stays(house: House) -> None:
    erased, needed = house.put("report", report__json={}), house.put("training_spec", spec__md="nobody is named")
    house.lake.folders.write(f"artifacts/report/{erased}/erased.json", b"{}")
    other = house.adapter("e" * 64)
    done = house.clear_up(also_kept={("adapter", other): "the newest lora_checkpoint of qa-engineer"})
    assert done.goes == []
    assert house.there() == {("report", erased), ("training_spec", needed), ("adapter", other)}
    record_evaluation(house.state, LINE, other, erased, "promote", "", "")


@pytest.mark.service
def test_in_a_bucket_the_manifest_goes_first_and_what_was_stored_again_stays(
    bucket: str, s3: Any, tmp_path: Path
) -> None:
    lake, state = Lake(f"s3://{bucket}", tmp_path / "cache"), State(f"sqlite:///{tmp_path}/state.db")
    digests = []
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "data").write_text(str(number))
        digests.append(lake.put_artifact("export", tmp_path / str(number)).digest)
    lake.folders.write("work/training/an-id/checkpoint-1/optimizer.pt", b"moments")
    rules = RetentionRules(snapshots_kept=2)
    assert housekeeping(lake, state, rules, dry_run=False).goes == []
    later = NOW + timedelta(days=40)
    done = housekeeping(lake, state, rules, dry_run=False, now=later)
    kept = lake.artifacts("export")
    assert len(kept) == 2 and len([each for each in done.goes if each.place.startswith("artifacts/")]) == 3
    assert lake.folders.subfolders("work/training") == []
    for digest in set(digests) - set(kept):
        assert not lake.has_artifact("export", digest) and lake.folders.files(f"artifacts/export/{digest}") == []
        assert not (tmp_path / "cache" / "artifacts" / "export" / digest).exists()
    assert lake.put_artifact("export", tmp_path / "0").digest == digests[0], "it can be made again"


def _age_days(house: House, node: Node) -> float:
    changed = house.lake.folders.changed_at(f"artifacts/{node[0]}/{node[1]}/manifest.json")
    return (NOW.timestamp() - changed) / 86_400


def _backdate_leases(house: House, days: float) -> None:
    from sqlalchemy import update

    table = house.state.table("leases")
    with house.state.transaction(writes=True) as connection:
        connection.execute(update(table).values(at=NOW - timedelta(days=days)))

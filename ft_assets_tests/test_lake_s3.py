import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets import lake_folders
from ft_assets.errors import BadConfiguration, BadInput, IncompleteArtifact, MissingInput, Rerunnable
from ft_assets.lake import Artifact, Lake, directory_digest
from ft_assets.settings import PROJECT_ROOT

pytestmark = pytest.mark.service
DAY = "2026-01-01"


@pytest.fixture
def lake(bucket: str, tmp_path: Path) -> Lake:
    return Lake(f"s3://{bucket}/some/prefix", tmp_path / "cache")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    (directory / "plots").mkdir(parents=True)
    (directory / "weights.bin").write_bytes(os.urandom(200_000))
    (directory / "plots" / "loss.png").write_bytes(b"png")
    return directory


def rows(day: str, value: int) -> pl.DataFrame:
    return pl.DataFrame({"day": [day], "value": [value], "tags": [["a"]]})


def test_landing_works_as_on_a_disk(lake: Lake, s3: Any, bucket: str) -> None:
    assert lake.landing_days() == lake.landing_files(DAY) == []
    lake.land(DAY, "b.jsonl", b"22")
    lake.land(DAY, "a.jsonl", b"1")
    for key in (f"{DAY}/", f"{DAY}/deeper/c.jsonl", f"{DAY}/_x", f"{DAY}/x.tmp", "january/a.jsonl"):
        s3.put_object(Bucket=bucket, Key=f"some/prefix/landing/{key}", Body=b"x")
    assert lake.landing_days() == [DAY]
    assert lake.odd_landing_folders() == ["january"]
    assert [(file.name, file.size) for file in lake.landing_files(DAY)] == [("a.jsonl", 1), ("b.jsonl", 2)]
    assert lake.read_landing(DAY, "b.jsonl") == b"22"
    stamp = lake.landing_stamp(DAY)
    assert lake.landing_stamp(DAY) == stamp
    lake.land(DAY, "b.jsonl", b"23")
    assert lake.landing_stamp(DAY) != stamp
    with pytest.raises(MissingInput, match=r"s3://.*/some/prefix/landing/2026-01-01/c\.jsonl does not exist"):
        lake.read_landing(DAY, "c.jsonl")
    with pytest.raises(BadInput):
        lake.read_landing(DAY, "../a.jsonl")


def test_more_files_than_a_page_are_all_listed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(10):
        lake.land(DAY, f"{number}.jsonl", b"")
        lake.land(f"2026-02-{number + 10}", "a.jsonl", b"")
    assert len(lake.landing_files(DAY)) == 10
    assert len(lake.landing_days()) == 11


def test_tables_are_replaced_and_read_by_partition(lake: Lake) -> None:
    assert not lake.exists("t")
    assert lake.fingerprint("t") == ""
    with pytest.raises(MissingInput, match="Materialize the asset t first"):
        lake.scan("t")
    assert lake.replace("t", rows("it's a day", 1), {"day": ["it's a day"]}) == 0
    lake.replace("t", rows(DAY, 1), {"day": [DAY]})
    before = lake.fingerprint("t", {"day": [DAY]})
    assert lake.replace("t", rows(DAY, 2), {"day": [DAY]}) == lake.version("t") == 2
    assert lake.fingerprint("t", {"day": [DAY]}) != before
    assert lake.scan("t", {"day": [DAY]}).collect().equals(rows(DAY, 2))
    lake.replace("t", rows(DAY, 2).clear(), {"day": [DAY]})
    assert lake.scan("t").select("day", "value").collect().rows() == [("it's a day", 1)]


def test_reading_some_days_does_not_open_the_objects_of_others(lake: Lake, s3: Any, bucket: str) -> None:
    for day in (DAY, "2026-01-02"):
        lake.replace("t", rows(day, 1), {"day": [day]})
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="some/prefix/tables/t/day=2026-01-02/")["Contents"]
    for found in listed:
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    assert lake.scan("t", {"day": [DAY]}).collect().height == 1
    with pytest.raises((OSError, pl.exceptions.PolarsError)):
        lake.scan("t").collect()


def test_four_processes_that_write_disjoint_days_of_a_new_table_all_succeed(lake: Lake, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "import polars as pl\n"
        "from ft_assets.lake import Lake\n"
        "lake, day = Lake(sys.argv[1]), sys.argv[2]\n"
        "for value in range(3):\n"
        "    lake.replace('t', pl.DataFrame({'day': [day], 'value': [value]}), {'day': [day]})\n"
    )
    days = [f"2026-01-0{number}" for number in range(1, 5)]
    arguments = [[sys.executable, "-c", script, lake.url, day] for day in days]
    writers = [subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True) for command in arguments]
    assert [writer.communicate(timeout=120)[1] for writer in writers] == [""] * 4
    assert sorted(lake.scan("t").select("day", "value").collect().rows()) == [(day, 2) for day in days]


def test_an_artifact_is_streamed_to_another_node_once_and_verified(
    lake: Lake, source: Path, tmp_path: Path, s3: Any, bucket: str
) -> None:
    stored = lake.put_artifact("adapter", source)
    assert stored.digest == directory_digest(source)
    assert lake.artifacts("adapter") == [stored.digest]
    other = Lake(lake.url, tmp_path / "another-node")
    assert other.has_artifact("adapter", stored.digest)
    fetched = other.artifact("adapter", stored.digest)
    assert fetched.path.is_relative_to(tmp_path / "another-node")
    assert directory_digest(fetched.path) == stored.digest
    s3.delete_object(Bucket=bucket, Key=f"some/prefix/artifacts/adapter/{stored.digest}/weights.bin")
    assert other.artifact("adapter", stored.digest) == fetched
    (fetched.path / "weights.bin").write_bytes(b"damaged in the cache")
    with pytest.raises(IncompleteArtifact, match=r"weights\.bin is in the manifest and not in the bucket"):
        other.artifact("adapter", stored.digest)


def test_a_damaged_object_is_named_and_storing_it_again_repairs_it(
    lake: Lake, source: Path, tmp_path: Path, s3: Any, bucket: str
) -> None:
    stored = lake.put_artifact("adapter", source)
    key = f"some/prefix/artifacts/adapter/{stored.digest}/weights.bin"
    content = bytearray((source / "weights.bin").read_bytes())
    content[99_999] ^= 1
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(content))
    other = Lake(lake.url, tmp_path / "another-node")
    with pytest.raises(IncompleteArtifact, match=r"weights\.bin has another SHA-256.*Materialize"):
        other.artifact("adapter", stored.digest)
    assert not other.has_artifact("adapter", stored.digest)
    lake.put_artifact("adapter", source)
    assert other.artifact("adapter", stored.digest).digest == stored.digest


def test_files_without_a_manifest_are_no_artifact(
    lake: Lake, source: Path, tmp_path: Path, s3: Any, bucket: str
) -> None:
    stored = lake.put_artifact("adapter", source)
    manifest = f"some/prefix/artifacts/adapter/{stored.digest}/manifest.json"
    s3.delete_object(Bucket=bucket, Key=manifest)
    other = Lake(lake.url, tmp_path / "another-node")
    assert other.artifacts("adapter") == []
    assert not other.has_artifact("adapter", stored.digest)
    with pytest.raises(IncompleteArtifact, match=r"manifest\.json is absent"):
        other.artifact("adapter", stored.digest)
    s3.put_object(Bucket=bucket, Key=manifest, Body=b"[]")
    with pytest.raises(IncompleteArtifact, match="not the one with that digest"):
        other.artifact("adapter", stored.digest)
    assert lake.put_artifact("adapter", source) == stored
    assert other.artifacts("adapter") == [stored.digest]


def test_eight_writers_of_the_same_artifact_agree(lake: Lake, source: Path, tmp_path: Path) -> None:
    stored: list[Artifact] = []

    def store(number: int) -> None:
        stored.append(Lake(lake.url, tmp_path / f"node-{number}").put_artifact("adapter", source))

    threads = [threading.Thread(target=store, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored) == 8
    assert {artifact.digest for artifact in stored} == set(lake.artifacts("adapter"))


def test_scratch_space_lies_in_the_cache(lake: Lake, tmp_path: Path) -> None:
    assert lake.work_dir("training", "abc") == tmp_path / "cache" / "work" / "training" / "abc"


def test_a_wrong_bucket_is_a_configuration_error_and_a_dead_endpoint_is_worth_a_rerun(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadConfiguration, match=r"NoSuchBucket.*FT_ASSETS_LAKE"):
        Lake("s3://nobody-made-this/x", tmp_path).landing_days()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Rerunnable, match="cannot be reached"):
        Lake("s3://bucket/x", tmp_path).landing_days()


def test_an_s3_that_takes_requests_and_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_folders, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(lake_folders, "ATTEMPTS", 2)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Rerunnable, match=r"cannot be reached.*Read timeout"):
            Lake("s3://bucket/x", tmp_path).landing_days()

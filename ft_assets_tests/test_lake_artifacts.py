import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ft_assets.errors import BadInput, IncompleteArtifact
from ft_assets.lake import Artifact, Lake, directory_digest
from ft_assets.settings import PROJECT_ROOT

NOWHERE = "0" * 64


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    (directory / "plots").mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(os.urandom(3_000_000))
    (directory / "config.json").write_text("{}")
    (directory / "plots" / "löss.png").write_bytes(b"")
    return directory


def kept(lake: Lake, kind: str = "adapter") -> list[str]:
    return sorted(path.name for path in (Path(lake.url) / "artifacts" / kind).iterdir())


def test_an_artifact_comes_back_byte_for_byte_under_the_digest_of_its_manifest(lake: Lake, source: Path) -> None:
    stored = lake.put_artifact("adapter", source)
    assert stored == lake.artifact("adapter", stored.digest)
    assert stored.path == Path(lake.url) / "artifacts" / "adapter" / stored.digest
    manifest = (stored.path / "manifest.json").read_bytes()
    paths = ["config.json", "model.safetensors", "plots/löss.png"]
    contents = [(source / path).read_bytes() for path in paths]
    listed = [
        {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for path, content in zip(paths, contents, strict=True)
    ]
    assert manifest == json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert stored.digest == hashlib.sha256(manifest).hexdigest() == directory_digest(source)
    assert [(stored.path / path).read_bytes() for path in paths] == contents
    assert lake.artifacts("adapter") == [stored.digest]
    assert lake.has_artifact("adapter", stored.digest)
    assert kept(lake) == [stored.digest]


def test_storing_the_same_content_again_changes_nothing(lake: Lake, source: Path, tmp_path: Path) -> None:
    first = lake.put_artifact("adapter", source)
    before = (first.path / "config.json").stat()
    assert lake.put_artifact("adapter", source) == first
    assert lake.put_artifact("adapter", first.path) == first
    after = (first.path / "config.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    (source / "config.json").write_text("{ }")
    assert lake.put_artifact("adapter", source).digest != first.digest
    assert (first.path / "config.json").read_text() == "{}"
    assert lake.artifacts("base_model") == []


def test_eight_threads_that_store_the_same_content_agree(lake: Lake, source: Path) -> None:
    stored: list[Artifact] = []
    threads = [threading.Thread(target=lambda: stored.append(lake.put_artifact("adapter", source))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored) == 8
    assert len(set(stored)) == 1
    assert kept(lake) == [stored[0].digest]


def test_one_flipped_byte_makes_it_incomplete_and_storing_it_again_repairs_it(lake: Lake, source: Path) -> None:
    stored = lake.put_artifact("adapter", source)
    weights = stored.path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[1_234_567] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IncompleteArtifact, match=r"model\.safetensors has another SHA-256.*Materialize"):
        lake.artifact("adapter", stored.digest)
    assert lake.put_artifact("adapter", source) == lake.artifact("adapter", stored.digest) == stored
    assert kept(lake) == [stored.digest]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "config.json").unlink(), r"config\.json is missing"),
        (lambda path: (path / "config.json").write_text("{}}"), r"config\.json has 3 bytes, its manifest says 2"),
        (lambda path: (path / "extra.json").write_text("{}"), r"extra\.json is not in the manifest"),
        (lambda path: (path / "manifest.json").unlink(), r"has no manifest\.json"),
        (lambda path: (path / "manifest.json").write_text("[]"), r"manifest\.json is not the one with the digest"),
        (lambda path: (path / "plots" / "x").symlink_to("/etc/hostname"), "x is a link"),
    ],
)
def test_any_other_damage_is_named_and_repaired(lake: Lake, source: Path, damage: object, said: str) -> None:
    stored = lake.put_artifact("adapter", source)
    damage(stored.path)  # type: ignore[operator]
    with pytest.raises(IncompleteArtifact, match=said):
        lake.artifact("adapter", stored.digest)
    lake.put_artifact("adapter", source)
    assert lake.artifact("adapter", stored.digest) == stored
    assert kept(lake) == [stored.digest]


def test_an_artifact_that_was_never_stored_is_incomplete(lake: Lake, source: Path) -> None:
    assert not lake.has_artifact("adapter", NOWHERE)
    with pytest.raises(IncompleteArtifact, match=r"has no manifest\.json.*Materialize"):
        lake.artifact("adapter", NOWHERE)
    lake.put_artifact("adapter", source)
    assert not lake.has_artifact("adapter", NOWHERE)


def test_a_truncated_file_is_seen_without_reading_every_byte(lake: Lake, source: Path) -> None:
    stored = lake.put_artifact("adapter", source)
    os.truncate(stored.path / "model.safetensors", 100)
    assert not lake.has_artifact("adapter", stored.digest)


def test_links_devices_foreign_manifests_and_empty_directories_are_refused(
    lake: Lake, source: Path, tmp_path: Path
) -> None:
    (source / "link").symlink_to("/etc")
    with pytest.raises(BadInput, match="link or a device"):
        lake.put_artifact("adapter", source)
    (source / "link").unlink()
    os.mkfifo(source / "pipe")
    with pytest.raises(BadInput, match="link or a device"):
        lake.put_artifact("adapter", source)
    (source / "pipe").unlink()
    (source / "manifest.json").write_text("[]")
    with pytest.raises(BadInput, match=r"manifest\.json of its own"):
        lake.put_artifact("adapter", source)
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(BadInput, match="holds no file"):
        lake.put_artifact("adapter", tmp_path / "empty")
    with pytest.raises(BadInput, match="not a directory"):
        lake.put_artifact("adapter", tmp_path / "nowhere")
    assert lake.artifacts("adapter") == []


@pytest.mark.parametrize(
    ("kind", "digest"), [("../adapter", NOWHERE), ("a/b", NOWHERE), ("", NOWHERE), ("adapter", "../x")]
)
def test_kinds_and_digests_that_lead_elsewhere_are_refused(lake: Lake, source: Path, kind: str, digest: str) -> None:
    with pytest.raises(BadInput):
        lake.artifact(kind, digest)
    with pytest.raises(BadInput):
        lake.has_artifact(kind, digest)


def test_a_manifest_that_leads_out_of_its_directory_is_not_followed(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    sha256 = hashlib.sha256(b"secret").hexdigest()
    manifest = json.dumps([{"path": "../../../../outside", "sha256": sha256, "size": 6}]).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    folder = Path(lake.url) / "artifacts" / "adapter" / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest)
    assert not lake.has_artifact("adapter", digest)
    with pytest.raises(IncompleteArtifact):
        lake.artifact("adapter", digest)


@pytest.mark.slow
@pytest.mark.parametrize("staged_files", [1, 40])
def test_a_process_killed_while_it_stores_leaves_nothing_visible_and_a_rerun_succeeds(
    lake: Lake, tmp_path: Path, staged_files: int
) -> None:
    source = tmp_path / "many"
    source.mkdir()
    for number in range(400):
        (source / f"{number:03}.bin").write_bytes(bytes([number % 256]) * 20_000)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ft_assets.lake import Lake\n"
        "Lake(sys.argv[1]).put_artifact('adapter', Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, lake.url, str(source)]
    writer = subprocess.Popen(command, cwd=PROJECT_ROOT)
    kind = Path(lake.url) / "artifacts" / "adapter"
    while len(list(kind.glob(".staging-*/*"))) < staged_files:
        assert writer.poll() is None, "it finished before it could be killed"
        time.sleep(0.001)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    assert [name.startswith(".staging-") for name in kept(lake)] == [True]
    assert lake.artifacts("adapter") == []
    assert not lake.has_artifact("adapter", directory_digest(source))
    stored = lake.put_artifact("adapter", source)
    assert lake.artifacts("adapter") == [stored.digest]
    assert lake.artifact("adapter", stored.digest) == stored


def test_what_is_taken_away_and_put_back_all_the_time_is_stored_all_the_same(lake: Lake, tmp_path: Path) -> None:
    """Housekeeping moves an old artifact aside, and puts it back when it was renewed just before."""
    source = tmp_path / "small"
    source.mkdir()
    for name in ("data", "more"):
        (source / name).write_text(name)
    place = lake.put_artifact("export", source).path
    aside, done = place.with_name(".removed-once"), threading.Event()

    def move() -> None:
        while not done.is_set():
            with suppress(OSError):
                os.rename(place, aside)
                os.rename(aside, place)
            shutil.rmtree(aside, ignore_errors=True)  # it was stored anew meanwhile

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(300):
            assert lake.put_artifact("export", source).path == place
    finally:
        done.set()
        mover.join()
    lake.put_artifact("export", source)
    assert sorted(path.name for path in lake.artifact("export", place.name).path.iterdir()) == [
        "data",
        "manifest.json",
        "more",
    ]
    assert [path.name for path in place.parent.iterdir()] == [place.name]

"""What a checkpoint is: the files that a resume needs, their manifest, and where the best weights so far lie."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ft_assets.errors import IncompleteArtifact
from ft_assets.lake_manifest import MANIFEST, Entry, damage_of, entries_from, manifest_of, size_of

NAME = re.compile(r"checkpoint-(0|[1-9]\d*)")
FACTS = "checkpoint.json"  # step, training id and best checkpoint, under the manifest like every other file
TRAINER_STATE = "trainer_state.json"
# best weights that no checkpoint of their own has; one folder less, and transformers loads them as a second adapter
BEST_FOLDER = "best/weights"
WEIGHTS = {
    *("adapter_model.safetensors", "adapter_model.bin", "model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model_fsdp.bin", "pytorch_model_fsdp_0"),
}
OPTIMIZER = {"optimizer.pt", "optimizer.bin", "optimizer_0"}


@dataclass(frozen=True)
class Best:
    """Where the best weights so far lie: in `folder` of the checkpoint whose manifest has that SHA-256."""

    step: int
    digest: str
    folder: str = "."


@dataclass(frozen=True)
class Checkpoint:
    """A sealed checkpoint. `digest` is the SHA-256 of its manifest; `trainer` is what the trainer wanted kept."""

    step: int
    path: Path
    digest: str
    best: Best | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)


def missing_from(names: Collection[str], processes: int = 1) -> list[str]:
    """What a resume needs and these relative paths lack; transformers ignores most of it silently."""
    tops = {name.partition("/")[0] for name in names}
    random_states = ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]
    wanted = {
        "model or adapter weights": WEIGHTS,
        "optimizer.pt": OPTIMIZER,
        **{name: {name} for name in ("scheduler.pt", *random_states, TRAINER_STATE)},
    }
    return [what for what, any_of in wanted.items() if not tops & any_of]


def opened(path: Path, training_id: str) -> Checkpoint:
    """The checkpoint at `path`, after every byte was compared with its manifest.

    Raises:
        IncompleteArtifact: it is torn, damaged, lacks a file that a resume needs, or belongs to another training.
            An older valid checkpoint is used in its place; without one the training starts over.
    """
    try:
        digest = digest_at(path)
        damage = damage_of(path, digest or "") if listed_at(path) else f"{path} has no whole {MANIFEST}"
        facts = {} if damage else json.loads((path / FACTS).read_bytes())
        damage = damage or _misfit(path, facts, training_id)
        best = facts.get("best") and Best(**{**facts["best"], "digest": facts["best"]["digest"] or digest})
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:  # a disk that cannot read, odd JSON
        damage = f"{path} cannot be read as a checkpoint: {error!r}"
    if damage:
        raise IncompleteArtifact(f"{damage}. This checkpoint is not used; an older valid one is, or none.")
    return Checkpoint(facts["step"], path, str(digest), best, facts["trainer"])


def digest_at(path: Path) -> str | None:
    """The digest that a directory's manifest claims; None without a manifest. Nothing else is read."""
    try:
        return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _misfit(path: Path, facts: Mapping[str, Any], training_id: str) -> str | None:
    names = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    if lacking := missing_from(names, facts["processes"]):
        return f"{path} lacks {', '.join(lacking)}"
    if facts["training_id"] != training_id:
        return f"{path} belongs to the training {facts['training_id']}, not to {training_id}"
    steps = {facts["step"], json.loads((path / TRAINER_STATE).read_bytes())["global_step"]}
    return None if steps == {step_of(path.name)} else f"{path} holds the state of step {min(steps)}"


def has_its_files(path: Path) -> bool:
    """Whether its manifest can be read and every file has its size. Cheap: only `opened` reads every byte."""
    entries = listed_at(path)
    return bool(entries) and all(size_of(path / entry.path) == entry.size for entry in entries)


def listed_at(path: Path) -> list[Entry]:
    """The entries of a directory's manifest; none when it is absent or torn, or the disk cannot read it."""
    try:
        return listed_in((path / MANIFEST).read_bytes())
    except OSError:
        return []


def listed_in(manifest: bytes) -> list[Entry]:
    """The entries of these bytes; none when they are not a manifest exactly as `manifest_of` writes it."""
    try:
        entries = entries_from(manifest, hashlib.sha256(manifest).hexdigest()) or []
        return entries if manifest_of(entries) == manifest else []
    except (ValueError, TypeError, RecursionError):
        return []


def step_of(name: str) -> int | None:
    """20 for checkpoint-20, None for other names."""
    found = NAME.fullmatch(name)
    return int(found[1]) if found else None

"""What an adapter was made from, written into the adapter itself: the answer to "which rows made this model?"."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ft_assets.compute import compute_device, device_kind
from ft_assets.errors import BadInput
from ft_assets.training.recipe import Recipe

GIVEN_BY_THE_CALLER = ("snapshot", "base_id", "base_digest")
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors")
PACKAGE = Path(__file__).resolve().parent.parent


def code_version() -> str:
    """SHA-256 over the sources that turn rows into an adapter. A change elsewhere in the project leaves it alone."""
    sources = [*sorted((PACKAGE / "training").glob("*.py")), PACKAGE / "chat.py", PACKAGE / "compute.py"]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(PACKAGE).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def training_id(snapshot: str, recipe: Recipe, base_digest: str) -> str:
    """The name of one training's working directory: snapshot, recipe (seed included), base and code in one digest."""
    parts = [snapshot, recipe.digest(), base_digest, code_version()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def describe(given: Mapping[str, Any], recipe: Recipe, system_prompt: str | None, threads: int) -> dict[str, Any]:
    """The provenance record: what the caller knows, the recipe, the code, the libraries and the machine's kind.

    Holds no time and no path, so that the same training on the same machine gives the same adapter digest.

    Raises:
        BadInput: `given` lacks one of snapshot, base_id, base_digest; without them nobody can prove the model.
    """
    missing = [key for key in GIVEN_BY_THE_CALLER if not given.get(key)]
    if missing:
        raise BadInput(
            f"provenance lacks {', '.join(missing)}, so the adapter could not be traced to its rows and its base. "
            "Pass the ids of the snapshot and of the base model that this run resolved."
        )
    return {
        **given,
        "recipe": recipe.model_dump(),
        "recipe_digest": recipe.digest(),
        "seed": recipe.seed,
        "system_prompt": system_prompt,
        "code_version": code_version(),
        "python": platform.python_version(),
        "libraries": {name: _installed(name) for name in LIBRARIES},
        "device": {"type": compute_device(), "kind": device_kind(), "threads": threads},
    }


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"

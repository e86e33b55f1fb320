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
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.numerics import numerics
from ft_assets.training.recipe import Recipe

GIVEN_BY_THE_CALLER = ("snapshot", "base_id", "base_digest")
LIBRARIES = (
    *("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets", "tokenizers", "safetensors"),
)
PACKAGE = Path(__file__).resolve().parent.parent


def code_version() -> str:
    """SHA-256 over the sources that turn rows into an adapter. A change elsewhere in the project leaves it alone."""
    shared = ("chat.py", "compute.py", "control_tokens.py", "system_prompts.py", "tool_calls.py")
    sources = [*sorted((PACKAGE / "training").glob("*.py")), *(PACKAGE / name for name in shared)]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(PACKAGE).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def training_id(snapshot: str, stage: Recipe, base_digest: str, former: str = "") -> str:
    """The name of one stage's working directory: snapshot, recipe (seed included), base, code and libraries, digested.

    `former` is the id of the stage before. The libraries belong to it because another version of one rounds, shuffles
    or packs otherwise: after an upgrade a training that was cut off starts over, and never goes on as a mixture.
    """
    parts = [snapshot, stage.digest(), base_digest, code_version(), library_versions(), former]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def stage_ids(snapshot: str, recipe: Recipe, base_digest: str) -> dict[str, str]:
    """Objective and training id of each stage, in their order.

    The second stage's knobs are not in the first one's id, so that SFT is not repeated for another DPO on top of it.
    """
    found: dict[str, str] = {}
    former = ""
    for stage in recipe.stages():
        former = found[stage.objective] = training_id(snapshot, stage, base_digest, former)
    return found


def library_versions() -> dict[str, str]:
    """What is installed of the libraries that make the weights; `absent` for what is not."""
    return {name: _installed(name) for name in LIBRARIES}


def describe(given: Mapping[str, Any], recipe: Recipe, system_prompt: SystemPrompt, threads: int) -> dict[str, Any]:
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
        "libraries": library_versions(),
        "device": {"type": compute_device(), "kind": device_kind(), "threads": threads},
        "numerics": numerics(),
    }


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"

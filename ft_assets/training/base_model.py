"""Fetches a base model into a directory of its own and looks at it before anybody trains on it.

Only what is needed is taken: safetensors, JSON, the tokenizer. Pickled weights and models that bring code are refused.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ft_assets.errors import BadConfiguration, BadInput, MissingInput, Rerunnable
from ft_assets.lake import directory_digest
from ft_assets.training.catalogue import BaseModelSpec, resolve

__all__ = ["BaseModelSpec", "materialize_base", "resolve"]

TAKEN = (
    *("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model"),
    *("vocab.json", "merges.txt", "chat_template.jinja"),
)
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
NEEDED = ("config.json", "tokenizer_config.json")


def materialize_base(spec: BaseModelSpec, directory: Path, project_root: Path) -> dict[str, Any]:
    """Puts the files of `spec` into `directory` and returns what was found: id, digest, files, bytes, parameters, ...

    Embedded models are copied and their digest is compared with the shipped `digest.txt`; a path is linked where the
    file system allows it; a hub model is downloaded at its pinned commit.

    Raises:
        MissingInput: the directory that `spec` names does not exist.
        BadInput: the files are pickled, incomplete or changed since they were shipped, bring code, or lack a chat
            template.
        BadConfiguration: the hub refuses the repository or the commit.
        Rerunnable: the hub cannot be reached.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if spec.source == "hub":
        origin = f"{spec.hub_id} at {spec.revision}"
        _download(spec, directory)
    else:
        source = project_root / str(spec.path)
        origin = str(spec.path)
        _take(source, directory, link=spec.source == "path")
    _refuse_unusable(directory, origin)
    digest = directory_digest(directory)
    if spec.source == "embedded":
        _compare_with_shipped(project_root / str(spec.path), digest)
    return {**_facts(spec, directory), "digest": digest}


def _take(source: Path, directory: Path, link: bool) -> None:
    if not source.is_dir():
        raise MissingInput(
            f"the base model's directory {source} does not exist. Correct `path`, or put the model there."
        )
    for path in sorted({path for pattern in TAKEN for path in source.glob(pattern)}):
        target = directory / path.name
        target.unlink(missing_ok=True)
        if not link or not _linked(path.resolve(), target):
            shutil.copyfile(path, target)
    if not any(directory.glob("*.safetensors")) and any(found for pattern in PICKLED for found in source.glob(pattern)):
        raise BadInput(
            f"{source} holds only pickled weights, and reading a pickle runs whatever it contains. "
            "Convert it to safetensors (save_pretrained of a current transformers does) and point `path` there."
        )


def _linked(path: Path, target: Path) -> bool:
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        return False
    return True


def _download(spec: BaseModelSpec, directory: Path) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        snapshot_download(str(spec.hub_id), revision=spec.revision, local_dir=directory, allow_patterns=list(TAKEN))
    except GatedRepoError as error:
        raise BadConfiguration(
            f"{spec.hub_id} is gated: accept its licence on the hub and set HF_TOKEN to a token of that account."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise BadConfiguration(
            f"the hub has no {spec.hub_id} at {spec.revision}, or HF_TOKEN may not read it. Correct them."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise Rerunnable(
            f"{spec.hub_id} could not be downloaded ({type(error).__name__}: {error}). Run again when the hub can be "
            "reached. Without a network, copy the model here and name it by {path: <directory>}."
        ) from error
    shutil.rmtree(directory / ".cache", ignore_errors=True)  # the downloader's bookkeeping


def _refuse_unusable(directory: Path, origin: str) -> None:
    missing = [name for name in NEEDED if not (directory / name).exists()]
    index = directory / "model.safetensors.index.json"
    shards = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
    missing += sorted(name for name in shards if not (directory / name).exists())
    if missing:
        raise BadInput(
            f"the base model {origin} lacks {', '.join(missing)}. Only whole models in safetensors are read."
        )
    for name in NEEDED:
        if "auto_map" in json.loads((directory / name).read_text()):
            raise BadInput(
                f"{name} of the base model {origin} has an auto_map, so it wants to run code that comes with it. "
                "Code from a model is never run here; use an architecture that transformers itself knows."
            )
    tokenizer = json.loads((directory / "tokenizer_config.json").read_text())
    if not (directory / "chat_template.jinja").exists() and not tokenizer.get("chat_template"):
        raise BadInput(
            f"the base model {origin} has no chat template, so messages cannot become tokens. "
            "Use its instruction-tuned version, or add a chat_template.jinja that ends each turn with a control token."
        )


def _compare_with_shipped(source: Path, digest: str) -> None:
    shipped = source / "digest.txt"
    if shipped.exists() and shipped.read_text().split()[0] != digest:
        raise BadInput(
            f"{source} has the digest {digest}, but {shipped.read_text().split()[0]} was shipped: a file was changed. "
            f"Restore it (git checkout -- {source.name}), or write the new digest to digest.txt if the change is meant."
        )


def _facts(spec: BaseModelSpec, directory: Path) -> dict[str, Any]:
    from safetensors import safe_open

    config = json.loads((directory / "config.json").read_text())
    parameters = 0
    for weights in sorted(directory.glob("*.safetensors")):
        with safe_open(weights, framework="numpy") as tensors:
            parameters += sum(_product(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return {
        "id": spec.id,
        "source": spec.source,
        "hub_id": spec.hub_id,
        "revision": spec.revision,
        "parameters": parameters,
        "licence": spec.licence,
        "architecture": (config.get("architectures") or [spec.architecture])[0],
        "instruction_tuned": spec.instruction_tuned,
        "context_length": config.get("max_position_embeddings", spec.context_length),
        "files": sorted(path.name for path in directory.iterdir()),
        "bytes": sum(path.stat().st_size for path in directory.iterdir()),
    }


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product

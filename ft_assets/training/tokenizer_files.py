"""The tokenizer and the configuration of a base model, without its weights: what preflight needs before a GPU."""

import os
import shutil
import uuid
from pathlib import Path

from ft_assets.errors import MissingInput
from ft_assets.training.catalogue import BaseModelSpec

TOKENIZER = "tokenizer_config.json"
TAKEN = (
    *("config.json", "tokenizer.json", TOKENIZER, "special_tokens_map.json", "added_tokens.json"),
    *("tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja"),
)


def tokenizer_dir(spec: BaseModelSpec, project_root: Path, cache: Path) -> Path:
    """A directory with the tokenizer of `spec`: the model's own, or a download of its small files at the pinned commit.

    Raises:
        MissingInput: the directory does not exist, or the hub cannot be reached or refuses; nothing else is tried.
    """
    if spec.source == "hub":
        return _downloaded(spec, cache / "tokenizers" / f"{str(spec.hub_id).replace('/', '--')}--{spec.revision}")
    directory = project_root / str(spec.path)
    if not (directory / TOKENIZER).is_file():
        raise MissingInput(f"{spec.path} holds no {TOKENIZER}. Correct `path`, or put the model there.")
    return directory


def _downloaded(spec: BaseModelSpec, directory: Path) -> Path:
    if (directory / TOKENIZER).is_file():
        return directory
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    stage = directory.with_name(f".staging-{uuid.uuid4().hex}")
    try:
        snapshot_download(str(spec.hub_id), revision=spec.revision, local_dir=stage, allow_patterns=list(TAKEN))
        if not directory.exists():  # another process may have been first
            stage.rename(directory)
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise MissingInput(
            f"the tokenizer of {spec.hub_id} at {spec.revision} could not be downloaded ({type(error).__name__}). "
            "Materialize base_model where the hub can be reached, or name a copy by {path: <directory>}."
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return directory

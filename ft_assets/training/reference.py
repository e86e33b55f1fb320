"""What a preference is measured against: the weights that a stage starts from, by digest, and what they answered.

DPO and KTO compare the policy with a reference. With a new adapter that is the base (the adapter switched off), after
SFT the frozen SFT adapter, under method full the model that the stage starts from. Its log-probabilities do not change,
so they are computed once and kept in a file that is named by everything they depend on.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ft_assets.errors import WrongReference

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

FROZEN = "ref"  # TRL's name for its copy of the adapter that was there already
TRAINED = "default"
NOT_PART_OF_A_BASE = ("lora_", "modules_to_save")
Columns = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Reference:
    """Which weights answer as the reference.

    `digest` is that of the whole model in memory (kind model), of the base under the adapter (kind base), or the
    SHA-256 that the adapter's safetensors file has (kind adapter); `base` is the digest of what lies under it.
    """

    kind: Literal["base", "adapter", "model"]
    digest: str
    base: str


def reference_of(model: "PreTrainedModel | PeftModel") -> Reference:
    """The reference of a model whose stage has not begun: the frozen adapter, else the base under a new adapter."""
    base = weights_digest(model)
    adapters = getattr(model, "peft_config", {})
    if FROZEN in adapters:
        return Reference("adapter", adapter_digest(model, FROZEN), base)
    return Reference("base" if adapters else "model", base, base)


def refuse_another_adapter(reference: Reference, former: Path) -> None:
    """Compares the frozen adapter with the one that the stage before left in the directory `former`.

    Raises:
        WrongReference: it is another one.
    """
    file = former / "adapter_model.safetensors"
    left = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else reference.base  # full leaves no adapter
    if left != reference.digest:
        raise WrongReference(
            f"the reference is {reference.kind} {reference.digest[:12]}, but the stage before left the adapter "
            f"{left[:12]}: preferences would be measured from weights that are not where they start. Run again; the "
            "stage before is read anew from its checkpoints."
        )


def weights_digest(model: "PreTrainedModel | PeftModel") -> str:
    """SHA-256 over names, types and bytes of a model's weights, adapters left out. Half a second per gigabyte."""
    import torch

    digest = hashlib.sha256()
    state: Iterable[tuple[str, torch.Tensor]] = model.state_dict().items()
    named = {name.replace(".base_layer", "").removeprefix("base_model.model."): tensor for name, tensor in state}
    for name, tensor in sorted(named.items()):
        if not any(part in name for part in NOT_PART_OF_A_BASE):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def adapter_digest(model: "PeftModel", name: str) -> str:
    """The SHA-256 that `adapter_model.safetensors` has, or would have, for the adapter of that name."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    return hashlib.sha256(save(whole, {"format": "pt"})).hexdigest()


def log_probabilities_key(reference: Reference, dataset: "Dataset", knobs: Mapping[str, Any]) -> str:
    """SHA-256 over the reference, every token it is asked about, and the knobs that change its answer."""
    import numpy as np

    digest = hashlib.sha256(json.dumps([reference.digest, reference.base, knobs], sort_keys=True).encode())
    for name in sorted(column for column in dataset.column_names if column.endswith("_ids")):
        rows = dataset[name]
        digest.update(name.encode() + np.array([len(row) for row in rows], dtype=np.int64).tobytes())
        for row in rows:
            digest.update(np.array(row, dtype=np.int32).tobytes())
    return digest.hexdigest()


def kept_log_probabilities(directory: Path, key: str, rows: int) -> Columns | None:
    """What was kept under that key, one float32 per row, in nats; None where nothing was, or it is torn or changed."""
    from safetensors import SafetensorError, safe_open

    path = _path(directory, key)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            columns = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        told, columns = {}, {}
    whole = told == {"content": _digest(key, columns)} and all(len(column) == rows for column in columns.values())
    if not columns or not whole:
        log.warning("%s is torn or was changed; the reference is asked again.", path.name)
        return None
    return columns


def keep_log_probabilities(directory: Path, key: str, columns: Columns) -> None:
    """Keeps them for a run that is resumed. A full disk costs that run some time, not this one."""
    from safetensors.numpy import save

    path = _path(directory, key)
    staged = path.with_suffix(".tmp")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with staged.open("wb") as file:
            file.write(save(columns, {"content": _digest(key, columns)}))
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError as error:
        log.warning("%s could not be kept (%s); a resumed run will ask the reference again.", path.name, error)


def _path(directory: Path, key: str) -> Path:
    return directory / f"reference-{key}.safetensors"


def _digest(key: str, columns: Columns) -> str:
    digest = hashlib.sha256(key.encode())
    for name, column in sorted(columns.items()):
        digest.update(name.encode() + b"\0" + column.tobytes())
    return digest.hexdigest()

"""Where the weights of a model lie: each with the base that it was trained on, not with that of another side."""

import json
from dataclasses import dataclass
from pathlib import Path

from ft_assets.errors import MissingInput
from ft_assets.lake import Lake


@dataclass(frozen=True)
class ModelToAsk:
    """`digest` names the model: the adapter's, or the base's own where there is no adapter.

    `adapter_dir` holds an adapter or a whole model (method full); the tokenizer is the base's in both cases.
    """

    digest: str
    base_dir: Path
    adapter_dir: Path | None = None


def model_in_lake(lake: Lake, model_id: str) -> ModelToAsk:
    """The model with this digest, every byte verified: a trained one on the base that its provenance names, or a base.

    Raises:
        MissingInput: the lake holds neither an adapter nor a base of that digest.
        IncompleteArtifact: the model or its base is damaged; materialize what makes it again.
    """
    base_digest = base_of(lake, model_id)
    base_dir = lake.artifact("base_model", base_digest).path
    if base_digest == model_id:
        return ModelToAsk(model_id, base_dir)
    return ModelToAsk(model_id, base_dir, lake.artifact("adapter", model_id).path)


def base_of(lake: Lake, model_id: str) -> str:
    """The digest of the base that a model stands on; a base stands on itself.

    Raises:
        MissingInput: the lake holds neither an adapter nor a base of that digest.
        IncompleteArtifact: the adapter is damaged; materialize what makes it again.
    """
    if lake.has_artifact("adapter", model_id):
        origin = json.loads((lake.artifact("adapter", model_id).path / "provenance.json").read_text(encoding="utf-8"))
        return str(origin["base_digest"])
    if lake.has_artifact("base_model", model_id):
        return model_id
    raise MissingInput(
        f"The lake holds no adapter and no base model with the digest {model_id[:12]}..., so nobody can be asked. "
        "Materialize lora_checkpoint or base_model, or check the model id."
    )

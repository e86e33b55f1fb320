"""The base models that can be fine-tuned: open weights only, each with its licence and its size.

Light on purpose (pydantic only). A model of the hub is pinned by whoever uses it: a branch name such as `main` moves,
and a moved base makes every comparison with an older adapter void.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ft_assets.errors import BadConfiguration

APACHE, LLAMA = "Apache-2.0", "Llama 3.1 Community License"
COMMIT = re.compile(r"[0-9a-f]{40}")
BEHIND_AN_API = re.compile(r"(gpt-?[345]|chatgpt|o[134](-|$)|claude|gemini)", re.IGNORECASE)  # gpt2 is open


class BaseModelSpec(BaseModel):
    """One base model whose weights are open: where they come from, and what is known about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(min_length=1, description="What specializations and version names call it.")
    source: Literal["embedded", "hub", "path"]
    hub_id: str | None = None
    revision: str | None = Field(default=None, description="The 40 hex digits of a commit on the hub.")
    path: str | None = Field(default=None, description="A directory; relative ones start at the project root.")
    parameters: int | None = Field(default=None, ge=1)
    licence: str = "unknown"
    architecture: str | None = None
    instruction_tuned: bool | None = None
    context_length: int | None = Field(default=None, ge=1, description="Tokens.")


def _hub(
    name: str, hub_id: str, parameters: int, licence: str, architecture: str, context_length: int
) -> BaseModelSpec:
    return BaseModelSpec(
        id=name,
        source="hub",
        hub_id=hub_id,
        parameters=parameters,
        licence=licence,
        architecture=architecture,
        instruction_tuned=True,
        context_length=context_length,
    )


CATALOGUE: dict[str, BaseModelSpec] = {
    spec.id: spec
    for spec in (
        BaseModelSpec(
            id="tiny-base",
            source="embedded",
            path="data/tiny_base",
            parameters=4_212_992,
            licence=APACHE,
            architecture="LlamaForCausalLM",
            instruction_tuned=True,
            context_length=1024,
        ),
        _hub("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct", 494_032_768, APACHE, "Qwen2ForCausalLM", 32_768),
        _hub("qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", 7_615_616_512, APACHE, "Qwen2ForCausalLM", 32_768),
        _hub("mistral-7b", "mistralai/Mistral-7B-Instruct-v0.3", 7_248_023_552, APACHE, "MistralForCausalLM", 32_768),
        _hub("llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248, LLAMA, "LlamaForCausalLM", 131_072),
    )
}


def resolve(base: str | Mapping[str, Any]) -> BaseModelSpec:
    """The base model that a specialization names: an id of the catalogue, `{hub: owner/name, revision: <commit>}`, or
    `{path: <directory>}`. What the catalogue knows about a hub id (size, licence, ...) is filled in.

    Raises:
        BadConfiguration: the model is unknown, lies behind an API, or its revision is not pinned.
    """
    spec = _from_catalogue(base) if isinstance(base, str) else _from_mapping(dict(base))
    if spec.source == "hub" and not COMMIT.fullmatch(spec.revision or ""):
        raise BadConfiguration(
            f"base_model '{spec.id}' is {spec.hub_id} on the hub at revision {spec.revision!r}; only a whole commit id "
            "stays the same under a finished comparison. Write base_model: "
            f"{{hub: {spec.hub_id}, revision: <40 hex digits>}}; the model's page shows them under Files, History."
        )
    return spec


def _from_catalogue(name: str) -> BaseModelSpec:
    if name in CATALOGUE:
        return CATALOGUE[name]
    if BEHIND_AN_API.match(name):
        raise BadConfiguration(
            f"base_model is '{name}', whose weights are not published, so no adapter can be trained on it here. "
            f"Only open-weight base models work: {', '.join(CATALOGUE)}, or your own by {{hub, revision}} or {{path}}."
        )
    raise BadConfiguration(
        f"base_model is '{name}', which the catalogue does not know: {', '.join(CATALOGUE)}. Another open-weight base "
        "model is named by {hub: owner/name, revision: <40 hex digits>} or by {path: <directory>}."
    )


def _from_mapping(given: dict[str, Any]) -> BaseModelSpec:
    allowed = "Write {hub: owner/name, revision: <40 hex digits>} or {path: <directory>}."
    hub_id, path = given.pop("hub", None), given.get("path")
    if bool(path) == bool(hub_id):
        raise BadConfiguration(f"base_model names {'both hub and path' if path else 'neither hub nor path'}. {allowed}")
    known = next((spec for spec in CATALOGUE.values() if hub_id and spec.hub_id == hub_id), None)
    facts = known.model_dump() if known else {"id": Path(str(path or hub_id)).name.lower()}
    place = {"source": "path"} if path else {"source": "hub", "hub_id": hub_id}
    try:
        return BaseModelSpec(**{**facts, **place, **given})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise BadConfiguration(f"base_model {path or hub_id} cannot be read ({faults}). {allowed}") from error

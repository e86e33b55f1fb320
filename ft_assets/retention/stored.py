"""What lies under artifacts/: which artifact uses which other one, what documents are about, and how old each is."""

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from ft_assets.errors import MissingInput
from ft_assets.lake import Lake
from ft_assets.lake_artifacts import DIGEST, ERASED
from ft_assets.lake_folders import files_below
from ft_assets.lake_manifest import MANIFEST
from ft_assets.retention.reachable import Node

HEX_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
WORDS = (".json", ".md", ".html")
LARGEST_DOCUMENT = 64 * 1024**2
WITHOUT_SUBJECT = ("review", "export")  # made again at will; the last ones stay


@dataclass
class Stored:
    """Every artifact. `changed` is in seconds since 1970: when it was stored, or asked to be stored once more.
    `left_over`: keys of directories that a writer never finished."""

    changed: dict[Node, float] = field(default_factory=dict)
    size: dict[Node, int] = field(default_factory=dict)
    uses: dict[Node, list[Node]] = field(default_factory=dict)
    about: dict[Node, list[Node]] = field(default_factory=dict)
    always: dict[Node, str] = field(default_factory=dict)
    recipes: dict[Node, str] = field(default_factory=dict)
    left_over: dict[str, float] = field(default_factory=dict)


def stored_artifacts(lake: Lake) -> Stored:
    """Looks at every artifact; reads documents and provenances, no weights and no rows."""
    found = Stored()
    for kind in lake.folders.subfolders("artifacts"):
        for name in lake.folders.subfolders(f"artifacts/{kind}"):
            place = f"artifacts/{kind}/{name}"
            files = list(files_below(lake.folders, place))
            if not DIGEST.fullmatch(name) or f"{place}/{MANIFEST}" not in {key for key, _ in files}:
                found.left_over[place] = max((last_change(lake, key) for key, _ in files), default=0.0)
                continue
            node = (kind, name)
            found.changed[node] = last_change(lake, f"{place}/{MANIFEST}")
            found.size[node] = sum(file.size for _, file in files)
            _look_at(lake, node, place, {key.removeprefix(f"{place}/"): file.size for key, file in files}, found)
    for edges in (found.uses, found.about):
        for node, others in edges.items():
            edges[node] = [other for other in others if other in found.changed]
    return found


def kept_anyhow(found: Stored, snapshots_kept: int) -> dict[Node, str]:
    """What stays whoever reaches it: what was erased, kinds that nobody knows, and the newest of each recipe."""
    kept = dict(found.always)
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in found.changed:
        if node[0] == "snapshot":
            groups.setdefault(("snapshots of this recipe", found.recipes.get(node, "")), []).append(node)
        elif node[0] in WITHOUT_SUBJECT:
            groups.setdefault((f"{node[0]}s", ""), []).append(node)
    for (what, _), nodes in groups.items():
        for node in sorted(nodes, key=lambda each: (found.changed[each], each), reverse=True)[:snapshots_kept]:
            kept.setdefault(node, f"one of the last {snapshots_kept} {what}")
    return kept


def _look_at(lake: Lake, node: Node, place: str, sizes: dict[str, int], found: Stored) -> None:
    kind = node[0]
    if ERASED in sizes:
        found.always[node] = "erased by request: ids, hashes and manifests stay"
    elif kind == "adapter":
        found.uses[node] = [each for each in _mentioned(lake, place, ["provenance.json"]) if each != node]
    elif kind == "snapshot":
        found.recipes[node] = _text(lake, f"{place}/recipe.json")
    elif kind == "report":
        found.about[node] = _subject_of_report(lake, place)
    elif kind not in ("base_model", *WITHOUT_SUBJECT):
        names = [name for name, size in sizes.items() if name.endswith(WORDS) and size <= LARGEST_DOCUMENT]
        found.about[node] = [each for each in _mentioned(lake, place, names) if each[0] != "base_model"]
        if not found.about[node]:
            found.always[node] = "nothing in it says what it is for"


def _mentioned(lake: Lake, place: str, names: list[str]) -> list[Node]:
    """What a digest in these files may be: it does not say its kind."""
    digests = {
        digest for name in names if name != MANIFEST for digest in HEX_ID.findall(_text(lake, f"{place}/{name}"))
    }
    return [(kind, digest) for kind in ("adapter", "snapshot", "base_model") for digest in sorted(digests)]


def _subject_of_report(lake: Lake, place: str) -> list[Node]:
    try:
        report: dict[str, Any] = json.loads(_text(lake, f"{place}/report.json") or "{}")
    except ValueError:
        return []
    candidate = report.get("models", {}).get("candidate")
    return [("adapter", str(candidate))] if candidate else []


def _text(lake: Lake, key: str) -> str:
    try:
        return lake.folders.read(key).decode("utf-8", "replace")
    except MissingInput:
        return ""


def last_change(lake: Lake, key: str) -> float:
    """When a file was written, in seconds since 1970; now for one that is gone."""
    try:
        return lake.folders.changed_at(key)
    except MissingInput:  # it went while we looked
        return time.time()

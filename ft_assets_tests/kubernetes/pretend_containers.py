"""What a container sees: its variables, its volumes, and its paths on the machine that stands in for the node.

A pod is local processes, so nothing can be mounted at an absolute path. A mount at M becomes a link at <the pod's
folder>M, and M is written anew wherever the pod's manifest and its config maps name it.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ft_assets_tests.kubernetes.pretend_objects import Object, Objects
from ft_assets_tests.kubernetes.pretend_scheduler import amount

SHARED_MEMORY = "/dev/shm"  # the machine's own serves


class NotReady(Exception):
    """Why the kubelet cannot start a container yet: the state that it waits in, and the event it writes."""

    def __init__(self, reason: str, event: str, message: str):
        super().__init__(message)
        self.reason, self.event, self.message = reason, event, message


@dataclass
class PodFolder:
    """The private disk of one pod, and where its mounts lie."""

    root: Path
    claims: Path
    paths: dict[str, str] = field(default_factory=dict)

    def mount(self, objects: Objects, pod: Object) -> None:
        """Lays out every volume and links every mount. Raises NotReady where a config map or secret is missing."""
        sources = {one["name"]: self._source(objects, pod, one) for one in pod["spec"].get("volumes") or []}
        containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
        mounts = [mount for container in containers for mount in container.get("volumeMounts") or []]
        for mount in sorted(mounts, key=lambda mount: len(mount["mountPath"])):
            at, source = mount["mountPath"].rstrip("/"), sources[mount["name"]]
            target = source / mount["subPath"] if mount.get("subPath") else source
            if not target.exists() and not mount.get("subPath", "").endswith((".yaml", ".json")):
                target.mkdir(parents=True, exist_ok=True)
            if at == SHARED_MEMORY or str(target) == at:
                continue
            link = self.root / at.lstrip("/")
            self.paths[at] = str(link)
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
        for folder in {source for source in sources.values() if source.is_relative_to(self.root)}:
            for file in filter(Path.is_file, folder.iterdir()):
                file.write_text(self.here(file.read_text()))

    def here(self, text: str) -> str:
        """The text with every mount path as it is on this machine."""
        if not self.paths:
            return text
        longest_first = "|".join(re.escape(path) for path in sorted(self.paths, key=len, reverse=True))
        pattern = rf"(?<![\w.\-])(?<!:/)(?:{longest_first})(?![\w.\-])"
        return re.sub(pattern, lambda found: self.paths[found[0]], text)

    def _source(self, objects: Objects, pod: Object, volume: Object) -> Path:
        space, folder = pod["metadata"]["namespace"], self.root / "volumes" / volume["name"]
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        if "persistentVolumeClaim" in volume:
            return self.claims / str(volume["persistentVolumeClaim"]["claimName"])
        folder.mkdir(parents=True, exist_ok=True)
        for files in _files(objects, pod, space, volume):
            for name, text in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
        return folder


def _files(objects: Objects, pod: Object, space: str, volume: Object) -> list[dict[str, str]]:
    """The files of a volume, by path inside it, from each of its sources; none for an empty one."""
    sources = (volume.get("projected") or {}).get("sources") or [volume]
    found = []
    for source in sources:
        kind = next((kind for kind in ("configMap", "secret") if kind in source), None)
        if kind:
            asked = source[kind]
            name = str(asked.get("secretName") or asked["name"])
            try:
                data = _data(objects, space, kind, name, bool(asked.get("optional")))
            except NotReady as missing:
                said = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {missing.message}'
                raise NotReady("ContainerCreating", "FailedMount", said) from None
            found.append({item["path"]: data[item["key"]] for item in asked["items"]} if asked.get("items") else data)
        elif "downwardAPI" in source:
            items = source["downwardAPI"].get("items") or []
            found.append({item["path"]: _field(pod, item["fieldRef"]["fieldPath"]) for item in items})
    return found


def variables(objects: Objects, pod: Object, container: Object, image: Mapping[str, str]) -> dict[str, str]:
    """The container's environment over that of its image. Raises NotReady where a config map or secret is missing."""
    space, values = pod["metadata"]["namespace"], dict(image)
    for source in container.get("envFrom") or []:
        kind = "configMap" if "configMapRef" in source else "secret"
        asked = source[f"{kind}Ref"]
        data = _data(objects, space, kind, asked["name"], bool(asked.get("optional")))
        values.update({source.get("prefix", "") + key: value for key, value in data.items()})
    for variable in container.get("env") or []:
        if variable.get("valueFrom"):
            found = _value_from(objects, pod, container, variable["valueFrom"])
            if found is not None:
                values[variable["name"]] = found
        else:
            values[variable["name"]] = expanded(variable.get("value") or "", values)
    return values


def expanded(text: str, values: Mapping[str, str]) -> str:
    """The text with `$(NAME)` in the place of variables that exist, as Kubernetes writes them; `$$` is one `$`."""
    pattern = r"\$\$|\$\((\w+)\)"
    return re.sub(pattern, lambda found: values.get(found[1], found[0]) if found[1] else "$", text)


def _value_from(objects: Objects, pod: Object, container: Object, source: Object) -> str | None:
    for ref, kind in (("configMapKeyRef", "configMap"), ("secretKeyRef", "secret")):
        if ref in source:
            asked, space = source[ref], pod["metadata"]["namespace"]
            data = _data(objects, space, kind, asked["name"], bool(asked.get("optional")))
            if asked["key"] not in data and not asked.get("optional"):
                said = f"couldn't find key {asked['key']} in {kind} {space}/{asked['name']}"
                raise NotReady("CreateContainerConfigError", "Failed", f"Error: {said}")
            return data.get(asked["key"])
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    side, name = source["resourceFieldRef"]["resource"].split(".", 1)
    return str(int(amount(((container.get("resources") or {}).get(side) or {}).get(name, 0))))


def _data(objects: Objects, space: str, kind: str, name: str, optional: bool) -> dict[str, str]:
    thing = objects.find("configmaps" if kind == "configMap" else "secrets", space, name)
    if thing is None:
        if optional:
            return {}
        raise NotReady("CreateContainerConfigError", "Failed", f'{kind.lower()} "{name}" not found')
    data = thing.get("data") or {}
    if kind == "configMap":
        return dict(data)
    return {key: base64.b64decode(value).decode() for key, value in data.items()} | (thing.get("stringData") or {})


def _field(pod: Object, path: str) -> str:
    found = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if found:
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    value: object = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)

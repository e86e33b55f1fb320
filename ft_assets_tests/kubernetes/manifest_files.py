"""The manifests of k8s/ as they lie there, and what kubectl makes of them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ft_assets.settings import PROJECT_ROOT

K8S = PROJECT_ROOT / "k8s"
OVERLAYS = ("shared-volume", "s3")
# podReplacementPolicy, which keeps a step from running twice, is on by default from 1.29 on.
VERSIONS = ("1.29", "1.31", "1.34", "1.37")
FOREIGN = "kueue.x-k8s.io/"  # kinds that Kubernetes itself does not know
Manifest = dict[str, Any]


def kustomizations() -> list[Path]:
    """Every kustomization.yaml."""
    return sorted(K8S.rglob("kustomization.yaml"))


def documents(path: Path) -> list[Manifest]:
    """The objects of a file."""
    return [each for each in yaml.load_all(path.read_text(), yaml.CSafeLoader) if each]


def listed(kustomization: Path, *keys: str) -> list[Path]:
    """Files and folders that a kustomization names under these keys."""
    named = yaml.safe_load(kustomization.read_text())
    entries = [entry for key in keys for entry in named.get(key, [])]
    return [(kustomization.parent / (e["path"] if isinstance(e, dict) else e)).resolve() for e in entries]


def resources() -> list[Manifest]:
    """Every object of every file that some kustomization has as a resource, and the Jobs to apply by hand."""
    files = [path for each in kustomizations() for path in listed(each, "resources") if path.is_file()]
    return [thing for path in [*files, *sorted((K8S / "jobs").glob("*.yaml"))] for thing in documents(path)]


def of_kind(*kinds: str) -> list[Manifest]:
    """The resources of these kinds."""
    return [thing for thing in resources() if thing["kind"] in kinds]


def named(kind: str, name: str, namespace: str | None = None) -> Manifest:
    """The one resource of that name."""
    (found,) = [
        thing
        for thing in of_kind(kind)
        if thing["metadata"]["name"] == name and namespace in (None, thing["metadata"].get("namespace"))
    ]
    return found


def pods(things: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Name and pod specification of everything that makes pods."""
    for thing in things:
        if "template" in thing.get("spec", {}):
            yield f"{thing['kind']} {thing['metadata']['name']}", thing["spec"]["template"]["spec"]


def build(overlay: str) -> list[Manifest]:
    """An overlay as `kubectl apply -k` would send it. Skips the test where there is no kubectl with Components."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed: the overlays are only read file by file")
    done = subprocess.run([kubectl, "kustomize", str(K8S / "overlays" / overlay)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def validate(thing: Manifest) -> None:
    """Returns for an object that every one of VERSIONS knows, with no field that it does not. Raises otherwise."""
    for version in VERSIONS:
        kubernetes_validate.validate(thing, version, strict=True)

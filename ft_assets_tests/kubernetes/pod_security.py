"""The Pod Security level "restricted", as the API server checks it (kubernetes.io, Pod Security Standards)."""

from collections.abc import Iterator
from typing import Any

VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
    "image",
}
PROFILES = {"RuntimeDefault", "Localhost"}


def violations(spec: dict[str, Any]) -> list[str]:
    """What the level forbids of a pod, in words; empty for one that may run."""
    return list(_violations(spec))


def _violations(spec: dict[str, Any]) -> Iterator[str]:
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(shared):
            yield shared
    for volume in spec.get("volumes", []):
        if kinds := set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {', '.join(kinds)}"
    pod = spec.get("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        yield from _of_container(container, pod)


def _of_container(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    own, name = container.get("securityContext", {}), container["name"]
    both = {**pod, **own}
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or set(own["capabilities"].get("add", [])):
        yield f"{name}: capabilities"
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield f"{name}: runAsUser is 0"
    if both.get("seccompProfile", {}).get("type") not in PROFILES:
        yield f"{name}: seccompProfile"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: hostPort"

"""A cluster whose API server, scheduler and controllers are Kubernetes' own; it is used like the pretend one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ft_assets_tests.kubernetes.control_plane import ControlPlane, control_plane
from ft_assets_tests.kubernetes.pretend_cluster import hear_sigterm, step_key_of, this_machine, two_nodes, waited
from ft_assets_tests.kubernetes.pretend_objects import KINDS, Object
from ft_assets_tests.kubernetes.pretend_rules import Request, account_user
from ft_assets_tests.kubernetes.pretend_scheduler import Node
from ft_assets_tests.kubernetes.process_kubelet import ProcessKubelet

T = TypeVar("T")
APPLY, STRICT = "application/apply-patch+yaml", "?fieldManager=test&force=true&fieldValidation=Strict"


class RealCluster:
    """Pods are processes of this machine, as on the pretend cluster; everything else is Kubernetes."""

    def __init__(self, plane: ControlPlane, folder: Path, nodes: Sequence[Node], image_env: Mapping[str, str]):
        self.plane, self.folder, self.namespace = plane, folder, "ml"
        self._kubeconfigs: dict[str, Path] = {}
        self.apply({"kind": "Namespace", "metadata": {"name": self.namespace}})
        environ = {**this_machine(), **image_env}
        self.kubelet = ProcessKubelet(
            plane, list(nodes), folder, environ, lambda space, account: self.kubeconfig(account)
        )

        self.faults = RealFaults(plane, self.kubelet)

    def kubeconfig(self, account: str | None = None) -> Path:
        """A file with which a client is this service account, or the administrator."""
        if account is None:
            return self.plane.kubeconfig("admin", self.plane.token, self.namespace)
        if account not in self._kubeconfigs:
            path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
            asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            token = self.plane.ask("POST", path, asked)["status"]["token"]
            self._kubeconfigs[account] = self.plane.kubeconfig(account, token, self.namespace)
        return self._kubeconfigs[account]

    def apply(self, manifests: Object | Sequence[Object]) -> None:
        """Server-side apply, strict. Raises ApiError with what the API server says."""
        for manifest in [manifests] if isinstance(manifests, dict) else manifests:
            kind = manifest["kind"]
            version = manifest.get("apiVersion") or next(one.api_version for one in KINDS.values() if one.name == kind)
            at = f"/{'apis' if '/' in version else 'api'}/{version}"
            served = self.plane.ask("GET", at)["resources"]
            resource = next(one for one in served if one["kind"] == kind and "/" not in one["name"])
            space = manifest["metadata"].get("namespace", self.namespace)
            place = f"/namespaces/{space}/" if resource["namespaced"] else "/"
            path = f"{at}{place}{resource['name']}/{quote(manifest['metadata']['name'])}{STRICT}"
            self.plane.ask("PATCH", path, {"apiVersion": version, **manifest}, APPLY)

    def claim(self, name: str) -> Path:
        """The folder of a volume claim, which exists and is bound from now on."""
        folder = self.folder / "claims" / name
        folder.mkdir(parents=True, exist_ok=True)
        if not self.plane.find(f"/api/v1/persistentvolumes/{name}"):
            modes, room = ["ReadWriteMany"], {"storage": "1Gi"}
            bound = {"namespace": self.namespace, "name": name}
            volume = {"capacity": room, "accessModes": modes, "claimRef": bound, "hostPath": {"path": str(folder)}}
            self.plane.ask("POST", "/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": volume})
            asked = {"accessModes": modes, "resources": {"requests": room}, "storageClassName": "", "volumeName": name}
            claims = f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims"
            self.plane.ask("POST", claims, {"metadata": {"name": name}, "spec": asked})
        return folder

    def all(self, resource: str, **labels: str) -> list[Object]:
        """The objects of a kind that have these labels."""
        version = KINDS[resource].api_version
        at = f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{self.namespace}/{resource}"
        selector = quote(",".join(f"{name}={value}" for name, value in labels.items()))
        items: list[Object] = self.plane.ask("GET", f"{at}?labelSelector={selector}")["items"]
        return items

    def jobs(self, **labels: str) -> list[Object]:
        """The Jobs."""
        return self.all("jobs", **labels)

    def pods(self, **labels: str) -> list[Object]:
        """The pods that are there."""
        return self.all("pods", **labels)

    def started_pods(self, step_key: str | None = None) -> list[Object]:
        """Every pod that a node ever had; those of one Dagster step where it is named."""
        return [pod for pod in list(self.kubelet.seen.values()) if step_key in (None, step_key_of(pod))]

    @property
    def requests(self) -> list[Request]:
        """What the service accounts of the namespace asked the API server for."""
        mine = account_user(self.namespace, "")
        events = [one for one in self.plane.audited() if one["user"]["username"].startswith(mine)]
        return [_request(event) for event in events if "objectRef" in event]

    def wait_for(self, look: Callable[[], T | None], seconds: float = 30) -> T:
        """What `look` gives once it is true. Raises TimeoutError with what the cluster looks like."""
        return waited(self.pods, look, seconds, 0.2)


class RealFaults:
    """What a node does to a pod; all other trouble is made by asking the API server for it."""

    def __init__(self, plane: ControlPlane, kubelet: ProcessKubelet):
        self.missing_images: set[str] = kubelet.pods.missing_images
        self._plane, self._kubelet = plane, kubelet

    def oom_kill(self, pod: Object) -> None:
        """The kernel kills the container: 137, OOMKilled."""
        self._kubelet.pods.kill(self._own(pod), "OOMKilled")

    def evict(self, pod: Object) -> None:
        """The kubelet ends the pod because its node runs out of memory."""
        why = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. "
        self._kubelet.pods.kill(self._own(pod), "Error", ("Evicted", why))

    def delete(self, pod: Object, grace_seconds: float | None = None) -> None:
        """What `kubectl delete pod` does."""
        meta = pod["metadata"]
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        self._plane.ask("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", options)

    def _own(self, pod: Object) -> Object:
        return self._kubelet.seen[pod["metadata"]["uid"]]


@contextmanager
def real_cluster(
    folder: Path, nodes: Sequence[Node] | None = None, image_env: Mapping[str, str] | None = None
) -> Iterator[RealCluster]:
    """Runs while it is entered."""
    hear_sigterm()
    with control_plane(folder / "control_plane") as plane:
        cluster = RealCluster(plane, folder, two_nodes() if nodes is None else nodes, image_env or {})
        try:
            yield cluster
        finally:
            cluster.kubelet.close()


def _request(event: Object) -> Request:
    about = event["objectRef"]
    resource = about["resource"] + (f"/{about['subresource']}" if "subresource" in about else "")
    return Request(
        user=event["user"]["username"],
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        status=event["responseStatus"]["code"],
    )

"""The one part of a real cluster that stays pretended: nodes whose pods are local processes."""

import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ft_assets_tests.kubernetes.control_plane import NOT_FOUND, ApiError, ControlPlane
from ft_assets_tests.kubernetes.pretend_objects import Object, now
from ft_assets_tests.kubernetes.pretend_pods import Pods
from ft_assets_tests.kubernetes.pretend_scheduler import GPU, Node, amount

MERGE, BACKGROUND = "application/merge-patch+json", "Background"
LOOK_SECONDS = 0.2


class ProcessKubelet:
    """The kubelet of all nodes: starts what the scheduler gave them, reports it, ends it, and serves its logs."""

    def __init__(
        self,
        plane: ControlPlane,
        nodes: list[Node],
        folder: Path,
        image_env: Mapping[str, str],
        kubeconfig: Callable[[str, str], Path],
    ):
        self.plane = plane
        self.seen: dict[str, Object] = {}
        self._objects = _Written(plane)
        # Pods asks its store for less than the pretend cluster's own can do.
        self.pods: Any = Pods(self._objects, _Events(plane), folder, image_env)  # type: ignore[arg-type]
        self.pods.kubeconfig = kubeconfig
        self._closed = threading.Event()
        self._logs = _LogServer(self.pods, plane.folder / "certificates")
        threading.Thread(target=self._logs.serve_forever, args=(0.1,), daemon=True).start()
        for node in nodes:
            self._register(node)
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends every process."""
        self._closed.set()
        self._thread.join(10)
        self.pods.close()
        self._logs.shutdown()
        self._logs.server_close()

    def _register(self, node: Node) -> None:
        self.plane.ask("POST", "/api/v1/nodes", {"metadata": {"name": node.name, "labels": node.labels}})
        room = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        room |= {GPU: str(node.gpus)} if node.gpus else {}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()}
        port = {"kubeletEndpoint": {"Port": self._logs.server_address[1]}}
        address = [{"type": "InternalIP", "address": "127.0.0.1"}]
        status = {"capacity": room, "allocatable": room, "conditions": [ready], "addresses": address}
        at = f"/api/v1/nodes/{node.name}"
        self.plane.ask("PATCH", f"{at}/status", {"status": {**status, "daemonEndpoints": port}}, MERGE)
        self.plane.ask("PATCH", at, {"spec": {"taints": node.taints}}, MERGE)  # it came with "not ready"

    def _keep(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            for pod in self.plane.ask("GET", "/api/v1/pods").get("items") or []:
                pod |= {"kind": "Pod", "apiVersion": "v1"}
                if pod["spec"].get("nodeName"):
                    self._look(pod)

    def _look(self, pod: Object) -> None:
        meta, life = pod["metadata"], self.pods.life(pod)
        if "deletionTimestamp" not in meta:
            if life is None and pod["status"]["phase"] == "Pending":
                pod["_gpus"] = range(_gpus(pod))
                self.seen[meta["uid"]] = pod
                self.pods.start(pod)
        elif life and not life.over.is_set():
            if not life.stopping.is_set():
                life.end(float(meta["deletionGracePeriodSeconds"]))
        else:
            self._forget(pod)

    def _forget(self, pod: Object) -> None:
        meta = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        try:
            self.plane.ask("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", options)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise


class _Written:
    """What `Pods` reads and writes, at the API server."""

    def __init__(self, plane: ControlPlane):
        self.lock = threading.RLock()
        self._plane = plane

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        return self._plane.find(f"/api/v1/namespaces/{namespace}/{resource}/{name}")

    def save(self, resource: str, thing: Object) -> None:
        meta = thing["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/{resource}/{meta['name']}/status"
        status = {name: value for name, value in thing["status"].items() if name != "qosClass"}
        try:
            self._plane.ask("PATCH", path, {"metadata": {"uid": meta["uid"]}, "status": status}, MERGE)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise


class _Events:
    """Writes events about pods."""

    def __init__(self, plane: ControlPlane):
        self._plane, self._count = plane, 0

    def say(self, about: Object, reason: str, message: str, kind: str = "Warning", by: str = "kubelet") -> None:
        meta, self._count = about["metadata"], self._count + 1
        who = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        body = {
            "metadata": {"name": f"{meta['name']}.{self._count:08x}", "namespace": meta["namespace"]},
            "involvedObject": {**who, "namespace": meta["namespace"]},
            **{"reason": reason, "message": message, "type": kind, "count": 1, "source": {"component": by}},
            **{"firstTimestamp": now(), "lastTimestamp": now()},
        }
        self._plane.ask("POST", f"/api/v1/namespaces/{meta['namespace']}/events", body)


class _LogServer(ThreadingHTTPServer):
    """GET /containerLogs/<namespace>/<pod>/<container>, over TLS, as the API server asks its kubelets."""

    def __init__(self, pods: Pods, certificates: Path):
        super().__init__(("127.0.0.1", 0), _LogRequest)
        self.pods = pods
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)


class _LogRequest(BaseHTTPRequestHandler):
    server: _LogServer

    def do_GET(self) -> None:
        parts, asked = urlsplit(self.path).path.split("/"), parse_qs(urlsplit(self.path).query)
        path = self.server.pods.log_path({"metadata": {"name": parts[3]}}, parts[4])
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        tail = int(asked.get("tailLines", ["1000000"])[0])
        said = "".join(f"{line.partition(' ')[2]}\n" for line in lines[len(lines) - min(tail, len(lines)) :]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _gpus(pod: Object) -> int:
    limits = [(one.get("resources") or {}).get("limits") or {} for one in pod["spec"]["containers"]]
    return int(sum(amount(each.get(GPU, 0)) for each in limits))

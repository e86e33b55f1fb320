"""A real control plane on loopback: etcd, the API server with RBAC, scheduler and controllers, as tests start them.

The programs are looked for in the folder that KUBEBUILDER_ASSETS names, as the tools of Kubernetes' own projects do,
and on PATH. What is not real is the kubelet: see process_kubelet.
"""

import csv
import json
import os
import secrets
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ft_assets_tests.mlflow_servers import free_port

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ADMIN = "system:admin"
PATIENCE_SECONDS = 90
NOT_FOUND = 404
AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
Answer = dict[str, Any]


def program(name: str) -> str | None:
    """Where it is, or None."""
    folder = os.environ.get("KUBEBUILDER_ASSETS", "")
    return shutil.which(name, path=f"{folder}:{os.environ['PATH']}")


def missing_programs() -> list[str]:
    """Those of PROGRAMS that this machine lacks."""
    return [name for name in PROGRAMS if program(name) is None]


class ApiError(Exception):
    """A refusal, with its HTTP status and the server's own words."""

    def __init__(self, status: int, words: str):
        super().__init__(f"{status}: {words}")
        self.status = status


@dataclass
class ControlPlane:
    """A running control plane; `ask` is its administrator. Everything of it lies in `folder`."""

    folder: Path
    url: str
    token: str
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Answer:
        """The answer's JSON. Raises ApiError for what is no success."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(
                request, timeout=30, context=ssl.create_default_context(cafile=str(self.certificate))
            ) as answer:
                read: Answer = json.loads(answer.read() or b"{}")
                return read
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")[:2000]) from None

    @property
    def certificate(self) -> Path:
        """What the API server made for itself at its start, with the authority that it made for it."""
        return self.folder / "certificates" / "apiserver.crt"

    def find(self, path: str) -> Answer | None:
        """The object, or None where there is none."""
        try:
            return self.ask("GET", path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def kubeconfig(self, name: str, token: str, namespace: str) -> Path:
        """A file with which a client is the owner of the token."""
        path = self.folder / f"{name}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": namespace}}],
        }
        path.write_text(json.dumps(config))
        return path

    @property
    def minor_version(self) -> int:
        """29 for Kubernetes 1.29."""
        return int(self.ask("GET", "/version")["gitVersion"].split(".")[1])

    def audited(self) -> list[Answer]:
        """Every request that was answered so far, as the API server's audit log has it."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        return [event for event in events if event["stage"] == "ResponseComplete"]


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """A control plane that answers, schedules and makes pods of Jobs while it is entered."""
    folder.mkdir(parents=True)
    with ExitStack() as running:
        etcd = f"http://127.0.0.1:{free_port()}"
        plane = ControlPlane(folder, f"https://127.0.0.1:{free_port()}", secrets.token_hex(16))
        running.callback(_stop, plane)
        _start(plane, "etcd", _etcd(folder, etcd))
        _start(plane, "kube-apiserver", _api_server(plane, etcd))
        _until_ready(plane)
        admin = plane.kubeconfig("admin", plane.token, "default")
        _start(plane, "kube-controller-manager", _controllers(plane, admin))
        _start(plane, "kube-scheduler", _scheduler(admin))
        yield plane


def _etcd(folder: Path, url: str) -> list[str]:
    peers = f"http://127.0.0.1:{free_port()}"
    own = {"--listen-client-urls": url, "--advertise-client-urls": url, "--listen-peer-urls": peers}
    cluster = {"--initial-advertise-peer-urls": peers, "--initial-cluster": f"default={peers}"}
    return _flags({"--data-dir": folder / "etcd", **own, **cluster, "--unsafe-no-fsync": "true"})


def _api_server(plane: ControlPlane, etcd: str) -> list[str]:
    folder, port = plane.folder, plane.url.rsplit(":", 1)[1]
    with (folder / "tokens.csv").open("w") as tokens:
        csv.writer(tokens).writerow([plane.token, ADMIN, "admin", "system:masters"])
    (folder / "audit.json").write_text(json.dumps(AUDIT))
    subprocess.run(["openssl", "genrsa", "-out", folder / "accounts.key", "2048"], check=True, capture_output=True)
    accounts = folder / "accounts.key"
    flags = {
        "--etcd-servers": etcd,
        "--bind-address": "127.0.0.1",
        "--secure-port": port,
        "--cert-dir": folder / "certificates",
        "--token-auth-file": folder / "tokens.csv",
        "--authorization-mode": "RBAC",
        "--service-cluster-ip-range": "10.0.0.0/24",
        "--service-account-issuer": plane.url,
        "--service-account-signing-key-file": accounts,
        "--service-account-key-file": accounts,
        "--audit-policy-file": folder / "audit.json",
        "--audit-log-path": folder / "audit.log",
    }
    return _flags(flags)


def _controllers(plane: ControlPlane, admin: Path) -> list[str]:
    accounts = plane.folder / "accounts.key"
    flags = {
        "--kubeconfig": admin,
        "--service-account-private-key-file": accounts,
        "--root-ca-file": plane.certificate,
        "--leader-elect": "false",
        "--secure-port": "0",
        "--controllers": "*,-nodelifecycle,-nodeipam,-cloud-node-lifecycle",
    }
    return _flags(flags | _older("kube-controller-manager"))


def _scheduler(admin: Path) -> list[str]:
    return _flags({"--kubeconfig": admin, "--leader-elect": "false", "--secure-port": "0"} | _older("kube-scheduler"))


def _older(name: str) -> dict[str, str]:
    """Before 1.24 there was a second port, open to everyone."""
    told = subprocess.run([program(name) or name, "--help"], capture_output=True, text=True).stdout
    return {"--port": "0"} if " --port int" in told else {}


def _flags(flags: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in flags.items()]


def _start(plane: ControlPlane, name: str, flags: list[str]) -> None:
    with (plane.folder / f"{name}.log").open("wb") as log:
        command = [program(name) or name, *flags]
        plane.processes[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=plane.folder)


def _stop(plane: ControlPlane) -> None:
    for process in reversed(plane.processes.values()):
        process.terminate()
        late = threading.Timer(20, process.kill)
        late.start()
        process.wait()
        late.cancel()


def _until_ready(plane: ControlPlane) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            if plane.find("/api/v1/namespaces/default"):
                return
        except (ApiError, OSError):
            time.sleep(0.2)
        for name, process in plane.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {(plane.folder / f'{name}.log').read_text()[-3000:]}")
    raise TimeoutError(f"no API server after {PATIENCE_SECONDS} s")

"""Pod logs as the API gives them: whole, their tail, since a time, or as they grow."""

import calendar
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets_tests.kubernetes.pretend_objects import Object, Refused, name_of
from ft_assets_tests.kubernetes.pretend_rules import Request

if TYPE_CHECKING:
    from ft_assets_tests.kubernetes.pretend_api import _Handler
    from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster


def serve_log(handler: "_Handler", cluster: "PretendCluster", request: Request, query: dict[str, str]) -> None:
    """Answers with the log of one container. Raises 404 for a pod that is gone, 400 for one that has not begun."""
    with cluster.objects.lock:
        pod = cluster.objects.read("pods", request.namespace, request.name)
        container = _container(pod, query.get("container"))
        path = cluster.pods_control.log_path(pod, container)
        if not path.exists():
            waits = f'container "{container}" in pod "{name_of(pod)}" is waiting to start: ContainerCreating'
            raise Refused(400, "BadRequest", waits)
    stamped = query.get("timestamps", "").lower() == "true"
    if query.get("follow", "").lower() == "true":
        handler.start_stream("text/plain")
        for line in _growing(path, cluster, pod):
            if _late_enough(line, query):
                handler.send_chunk((line if stamped else _bare(line)).decode(errors="replace"))
        handler.send_chunk("")
        return
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if _late_enough(line, query)]
    if query.get("tailLines"):
        lines = lines[-int(query["tailLines"]) :]
    body = b"".join(line if stamped else _bare(line) for line in lines)
    handler.send_text(body[: int(query.get("limitBytes") or len(body))], "text/plain")


def _container(pod: Object, asked: str | None) -> str:
    names = [one["name"] for one in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]]
    if asked and asked not in names:
        raise Refused(400, "BadRequest", f"container {asked} is not valid for pod {name_of(pod)}")
    if not asked and len(pod["spec"]["containers"]) > 1:
        choose = f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
        raise Refused(400, "BadRequest", choose)
    return asked or str(pod["spec"]["containers"][0]["name"])


def _growing(path: Path, cluster: "PretendCluster", pod: Object) -> Iterator[bytes]:
    with path.open("rb") as log:
        while True:
            life = cluster.pods_control.life(pod)
            over = life is None or life.over.is_set() or cluster.closed.is_set()
            lines = log.readlines()
            yield from lines
            if over and not lines:
                return
            time.sleep(0.05)


def _bare(line: bytes) -> bytes:
    return line.partition(b" ")[2]


def _late_enough(line: bytes, query: dict[str, str]) -> bool:
    seconds = query.get("sinceSeconds")
    return not seconds or _moment(line) >= time.time() - float(seconds)


def _moment(line: bytes) -> float:
    stamp = line.split(b" ", 1)[0].decode()
    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")) + float(f"0.{stamp[20:-1]}")

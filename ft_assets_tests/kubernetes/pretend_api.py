"""The HTTP side of the pretend cluster: the paths, selectors, watches and logs that clients ask for."""

import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from ft_assets_tests.kubernetes.pretend_faults import HungUp
from ft_assets_tests.kubernetes.pretend_log import serve_log
from ft_assets_tests.kubernetes.pretend_objects import KINDS, Change, Object, Refused, labels_of
from ft_assets_tests.kubernetes.pretend_rules import Request, demand_allowed, verb_of

if TYPE_CHECKING:
    from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v1)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)
_VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0-pretend", "platform": "linux/amd64"}


class ApiServer(ThreadingHTTPServer):
    """Answers for one cluster, on a loopback port of its own."""

    daemon_threads = True

    def __init__(self, cluster: "PretendCluster"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are what tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def log_message(self, format: str, *arguments: object) -> None:
        """The cluster keeps its own record."""

    def _serve(self) -> None:
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if path == "/version":
            self.send_json(_VERSION)
            return
        try:
            self._answer(path, query, body or {})
        except HungUp:
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _serve

    def _answer(self, path: str, query: dict[str, str], body: Object) -> None:
        cluster = self.server.cluster
        request, status = Request("", "", "", path, "", "", 404), 200
        try:
            request = self._request(path, query)
            status = self._checked(request, query, body)
        except Refused as refused:
            cluster.requests.append(request._replace(status=refused.status))  # before the client knows of it
            self.send_json(refused.as_status(), refused.status)
            return
        except (HungUp, OSError):
            cluster.requests.append(request._replace(status=status))
            raise
        cluster.requests.append(request._replace(status=status))

    def _request(self, path: str, query: dict[str, str]) -> Request:
        found = _PATH.fullmatch(path)
        kind = KINDS.get(found["resource"]) if found else None
        if not found or not kind or kind.group != (found["group"] or ""):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        user = self.server.cluster.user(self.headers.get("Authorization"))
        resource = f"{found['resource']}/{found['part']}" if found["part"] else found["resource"]
        verb = verb_of(self.command, found["name"] or "", query.get("watch", "").lower() == "true")
        return Request(user, verb, kind.group, resource, found["namespace"] or "", found["name"] or "", 0)

    def _checked(self, request: Request, query: dict[str, str], body: Object) -> int:
        cluster = self.server.cluster
        fault = cluster.faults.for_request(request)
        if fault and not fault.after_effect:
            fault.strike()
        if cluster.rbac:
            demand_allowed(cluster.objects, request)
        if request.resource == "pods/log":
            serve_log(self, cluster, request, query)
            return 200
        if request.verb == "watch":
            self._watch(request, query)
            return 200
        with cluster.objects.lock:
            status, answer = self._do(request, query, body)
            text = json.dumps(shown(answer))
        if fault:
            fault.strike()
        self.send_json(text, status)
        return status

    def _do(self, request: Request, query: dict[str, str], body: Object) -> tuple[int, Object]:
        cluster, part = self.server.cluster, request.resource.partition("/")[2]
        resource = request.resource.partition("/")[0]
        if part not in ("", "status") or request.verb not in ("get", "list", "create", "delete"):
            raise Refused(405, "MethodNotAllowed", f"the pretend cluster cannot {request.verb} {request.resource}")
        if request.verb == "list":
            return 200, self._list(resource, request, query)
        if request.verb == "create":
            return 201, cluster.create(resource, request.namespace, body)
        thing = cluster.objects.read(resource, request.namespace, request.name)
        if request.verb == "get":
            return 200, thing
        return 200, cluster.delete(resource, thing, {**query, **body})

    def _list(self, resource: str, request: Request, query: dict[str, str]) -> Object:
        objects, kind = self.server.cluster.objects, KINDS[resource]
        things = [one for one in objects.all(resource, request.namespace or None) if selected(one, query)]
        meta = {"resourceVersion": str(objects.version)}
        head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": meta}
        return {**head, "items": [shown(one) for one in things]}

    def _watch(self, request: Request, query: dict[str, str]) -> None:
        objects = self.server.cluster.objects
        until = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        since = int(query.get("resourceVersion") or 0)
        self.start_stream("application/json")
        with objects.lock:
            first = objects.changes[0].version if objects.changes else 1
            if since and since < first - 1:
                gone = Refused(410, "Expired", f"too old resource version: {since} ({first})")
                self.send_chunk(json.dumps({"type": "ERROR", "object": gone.as_status()}) + "\n")
                self.send_chunk("")
                return
            if not since:
                here = objects.all(request.resource, request.namespace or None)
                seen = [Change(0, request.resource, "ADDED", one) for one in here]
                since = objects.version
                lines = _lines(seen, request, query)
            else:
                lines = []
        while time.monotonic() < until and not self.server.cluster.closed.is_set():
            for line in lines:
                self.send_chunk(line)
            with objects.changed:
                if objects.version == since:
                    objects.changed.wait(min(0.5, max(0.0, until - time.monotonic())))
                lines = _lines([one for one in objects.changes if one.version > since], request, query)
                since = objects.version
        self.send_chunk("")

    def send_json(self, answer: Object | str, status: int = 200) -> None:
        """Sends the object, or text that is JSON already."""
        text = answer if isinstance(answer, str) else json.dumps(shown(answer))
        self.send_text(text.encode(), "application/json", status)

    def send_text(self, body: bytes, kind: str, status: int = 200) -> None:
        """Sends one answer with its length."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def start_stream(self, kind: str) -> None:
        """Begins an answer that comes in chunks."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, text: str) -> None:
        """Sends one chunk; an empty one ends the answer."""
        body = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        self.wfile.flush()


def _lines(changes: list[Change], request: Request, query: dict[str, str]) -> list[str]:
    mine = [one for one in changes if one.resource == request.resource and selected(one.object, query)]
    space = request.namespace
    mine = [one for one in mine if not space or one.object["metadata"].get("namespace") == space]
    return [json.dumps({"type": one.kind, "object": shown(one.object)}) + "\n" for one in mine]


def shown(thing: Object) -> Object:
    """The object without what only the cluster knows."""
    return {key: value for key, value in thing.items() if not key.startswith("_")}


def selected(thing: Object, query: dict[str, str]) -> bool:
    """Whether the label and the field selector both take the object. Raises 400 for one that cannot be read."""
    labels = query.get("labelSelector", "")
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", labels) if part.strip()]
    if not all(_label_selects(labels_of(thing), part) for part in parts):
        return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        path, differs, wanted = re.split(r"(!=|==?)", part, maxsplit=1)
        value: Any = thing
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if ((value or "") == wanted) == (differs == "!="):
            return False
    return True


def _label_selects(labels: dict[str, str], part: str) -> bool:
    found = re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", part)
    if found:
        among = labels.get(found[1]) in [value.strip() for value in found[3].split(",")]
        return among == (found[2] == "in")
    found = re.fullmatch(r"([^!=\s]+)\s*(!=|==?)\s*(\S*)", part)
    if found:
        return (labels.get(found[1]) == found[3]) == (found[2] != "!=")
    if not re.fullmatch(r"!?[\w./-]+", part):
        raise Refused(400, "BadRequest", f"unable to parse requirement: {part}")
    return (part.lstrip("!") in labels) != part.startswith("!")

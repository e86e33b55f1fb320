"""A proxy before a real S3 server, which for a while answers 503 or hangs up."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class FaultyS3(ThreadingHTTPServer):
    """After `good_puts` uploads, `faults` requests fail: every other one with 503, the rest by hanging up."""

    daemon_threads = True

    def __init__(self, endpoint: str, good_puts: int, faults: int):
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.upstream = str(urlsplit(endpoint).netloc)
        self.good_puts, self.faults = good_puts, faults
        self.failed = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address that clients get in the place of the server's own."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, method: str) -> int | None:
        """503, 0 to hang up, or None to let the request through."""
        with self._lock:
            if self.good_puts > 0:
                self.good_puts -= method == "PUT"
                return None
            if self.failed == self.faults:
                return None
            self.failed += 1
            return 503 if self.failed % 2 else 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what this is for."""


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyS3

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command)
        if fault == 0:
            self.close_connection = True
            return
        if fault:
            self._answer(fault, {}, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
            return
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        connection.request(self.command, self.path, body or None, dict(self.headers))
        answer = connection.getresponse()
        self._answer(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@contextlib.contextmanager
def faulty_s3(endpoint: str, good_puts: int, faults: int) -> Iterator[FaultyS3]:
    """A proxy that serves until the end of the block."""
    proxy = FaultyS3(endpoint, good_puts, faults)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()

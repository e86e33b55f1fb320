"""A real HTTP server that speaks the chat completions API, answers by a rule, and misbehaves where a test says so.

It answers with the last line of the last message, cut at `max_tokens` words.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Handler", dict[str, Any]], None]
MODELS = {
    "object": "list",
    "data": [
        {"id": "tuned", "object": "model", "owned_by": "vllm", "root": "base", "max_model_len": 1024},
        {"id": "base", "object": "model", "owned_by": "vllm", "root": "base", "max_model_len": 1024},
    ],
}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "ChatServer"

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            models = [{**entry, "created": time.time_ns()} for entry in MODELS["data"]]
            self.send(200, json.dumps({**MODELS, "data": models}).encode())
        elif self.path == "/version":
            self.send(200, b'{"version": "1.2.3"}')
        else:
            self.send(404, b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            reply = self.server.replies.pop(0) if self.server.replies else self.server.otherwise
        with suppress(ConnectionError, TimeoutError):
            reply(self, body)

    def send(self, status: int, content: bytes, **headers: str) -> None:
        """A whole reply."""
        self.send_response(status)
        lengths = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in {**lengths, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class ChatServer(ThreadingHTTPServer):
    """`replies` are used up one by one; then `otherwise` replies. Keeps what it was asked, and with which keys."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.replies: list[Reply] = []
        self.otherwise: Reply = answers

    @property
    def url(self) -> str:
        """The API's root."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A running server on a free port of this machine."""
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def completion(message: dict[str, Any], tokens: int | None, finish_reason: str = "stop") -> bytes:
    """The body of a chat completion."""
    usage = {} if tokens is None else {"usage": {"prompt_tokens": 9, "completion_tokens": tokens}}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], **usage}).encode()


def answers(handler: Handler, body: dict[str, Any]) -> None:
    """Says the last line of what it was asked."""
    words = body["messages"][-1]["content"].splitlines()[-1].split()
    said = words[: body["max_tokens"]]
    reason = "stop" if said == words else "length"
    handler.send(200, completion({"content": " ".join(said)}, len(said), reason))


def says(message: dict[str, Any], tokens: int | None = 3) -> Reply:
    """Says this, whatever it was asked."""
    return lambda handler, body: handler.send(200, completion(message, tokens))


def fails(status: int, **headers: str) -> Reply:
    """Replies with a status and an error."""
    return lambda handler, body: handler.send(status, b'{"error": {"message": "no"}}', **headers)


def stalls(handler: Handler, body: dict[str, Any]) -> None:
    """Takes the request and says nothing for a second."""
    time.sleep(1)
    handler.close_connection = True


def tears(handler: Handler, body: dict[str, Any]) -> None:
    """Promises a reply and closes the connection in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(completion({"content": "half"}, 1)[:40])
    handler.close_connection = True


def tears_json(handler: Handler, body: dict[str, Any]) -> None:
    """Sends half of the JSON as if it were all of it."""
    handler.send(200, completion({"content": "half"}, 1)[:60])


def hangs_up(handler: Handler, body: dict[str, Any]) -> None:
    """Closes the connection without a word."""
    handler.close_connection = True

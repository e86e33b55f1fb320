"""Requests to an OpenAI-compatible endpoint, many at once, whatever it does."""

import asyncio
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ft_assets.errors import BadConfiguration

if TYPE_CHECKING:
    import httpx

MOST_REPLY_BYTES = 4_000_000
BUSY = frozenset({408, 409, 425, 429})


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask. `url` is the API's root, such as http://host:8000/v1; `model` the name that it serves a model by.

    The key stands in an environment variable or in a file, never here: this object may be printed and stored.
    """

    url: str
    model: str
    api_key_variable: str | None = None
    api_key_file: Path | None = None
    timeout_seconds: float = 120.0
    attempts: int = 4
    backoff_seconds: float = 1.0
    most_backoff_seconds: float = 30.0
    concurrency: int = 8
    most_failures_in_a_row: int = 8

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise BadConfiguration(
                "The endpoint's url is no API root without user and query. Write it as http(s)://host/path, such as "
                "http://vllm:8000/v1; a key goes into the variable that api_key_variable names, or into api_key_file."
            )

    def headers(self) -> dict[str, str]:
        """What every request carries.

        Raises:
            BadConfiguration: the variable or file of the key is absent, empty or not printable.
        """
        if self.api_key_variable is None and self.api_key_file is None:
            return {}
        if self.api_key_variable is not None:
            place, key = f"the variable {self.api_key_variable}", os.environ.get(self.api_key_variable, "")
        else:
            file = Path(self.api_key_file or "")
            place, key = f"the file {file}", file.read_text("utf-8", "replace") if file.is_file() else ""
        key = key.strip()
        if not key or not (key.isascii() and key.isprintable()):
            raise BadConfiguration(f"The API key in {place} is absent, empty or no header's text. Put the key there.")
        return {"Authorization": f"Bearer {key}"}


class Reply(NamedTuple):
    """What one request led to: a status with a body, or a failure of its own."""

    status: int = 0
    body: bytes = b""
    failure: str | None = None
    retry_after: float | None = None

    @property
    def problem(self) -> str | None:
        """Why it is no answer; None when it is one."""
        return self.failure or (None if self.status == 200 else f"status {self.status}")

    @property
    def may_be_gone_next_time(self) -> bool:
        """Whether to ask again."""
        return bool(self.failure) or self.status in BUSY or self.status >= 500


async def ask(
    http: "httpx.AsyncClient", endpoint: Endpoint, method: str, path: str, request: dict[str, Any] | None = None
) -> Reply:
    """The reply to at most `attempts` requests, with waits that double, or that the endpoint asks for."""
    reply = Reply(failure="not asked")
    for attempt in range(1, endpoint.attempts + 1):
        reply = await _once(http, endpoint, method, path, request)
        if not reply.may_be_gone_next_time or attempt == endpoint.attempts:
            break
        await asyncio.sleep(_wait(endpoint, f"{request}{attempt}", attempt, reply.retry_after))
    return reply


async def _once(
    http: "httpx.AsyncClient", endpoint: Endpoint, method: str, path: str, request: dict[str, Any] | None
) -> Reply:
    """One request. The time limit is for all of it: an endpoint can send a byte a second for ever."""
    import httpx

    try:
        async with asyncio.timeout(endpoint.timeout_seconds):
            async with http.stream(method, f"{endpoint.url.rstrip('/')}{path}", json=request) as reply:
                return await _received(reply)
    except TimeoutError:
        return Reply(failure=f"no reply within {endpoint.timeout_seconds:g} seconds")
    except httpx.HTTPError:
        return Reply(failure="the connection failed")


async def _received(reply: "httpx.Response") -> Reply:
    """Status and body. Compressed bytes are not unpacked: they were not asked for."""
    if reply.status_code != 200:
        return Reply(reply.status_code, retry_after=_seconds(reply.headers.get("retry-after")))
    body = bytearray()
    async for part in reply.aiter_raw():
        body += part
        if len(body) > MOST_REPLY_BYTES:
            return Reply(413)
    return (
        Reply(200, bytes(body)) if _parsed(bytes(body)) is not None else Reply(failure="the reply is torn or no JSON")
    )


def body_of(reply: Reply) -> dict[str, Any]:
    """The JSON object of a reply; an empty one where there is none."""
    return _parsed(reply.body) or {}


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds, from either of its two spellings (RFC 9110, 10.2.3); None when it is neither."""
    with suppress(ValueError, TypeError, OverflowError):
        if retry_after and retry_after.strip().isdecimal():
            return float(retry_after)
        if retry_after:
            return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    return None


def _wait(endpoint: Endpoint, request: str, attempt: int, retry_after: float | None) -> float:
    """Seconds before the next attempt. The jitter is a hash, so that a run can be repeated."""
    jitter = 1 + hashlib.sha256(request.encode("utf-8", "surrogatepass")).digest()[0] / 512
    doubled = endpoint.backoff_seconds * 2 ** (attempt - 1) * jitter
    return min(endpoint.most_backoff_seconds, doubled if retry_after is None else retry_after)

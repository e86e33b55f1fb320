"""Asks an OpenAI-compatible endpoint for grades, many answers at once, and survives whatever it does."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ft_assets.judge_budget import Budget
from ft_assets.judge_prompt import RESPONSE_FORMAT, estimated_tokens, messages
from ft_assets.judge_reply import Reading, read_reply
from ft_assets.judge_rules import JudgeRules

if TYPE_CHECKING:
    import httpx

MOST_REPLY_BYTES = 1_000_000
BUSY = frozenset({408, 409, 425, 429})
ENDPOINT_DOWN = "endpoint_down"


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask. `url` is the API's root, to which /chat/completions is added."""

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)


class Judged(Protocol):
    """What is judged: judge_prompt.Item, or an item of another form. `content_id` is the SHA-256 of its masked text."""

    @property
    def content_id(self) -> str: ...


class Form(NamedTuple):
    """A kind of question: the messages that an item becomes (with the key of its nonces), the shape that the answer is
    asked for in, and what its reply is worth."""

    messages: Callable[[Any, str], list[dict[str, str]]]
    response_format: Mapping[str, Any]
    read_reply: Callable[[bytes], Reading]


GRADES = Form(messages, RESPONSE_FORMAT, read_reply)  # five criteria of one answer, for a judge_prompt.Item


class Outcome(NamedTuple):
    """Scores 0..1 by criterion, or the kind of failure, or the limit because of which nothing was asked."""

    scores: dict[str, float] | None = None
    failure: str | None = None
    not_submitted: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Reply(NamedTuple):
    """What one request led to: a status with a body, or a failure of its own."""

    status: int = 0
    body: bytes = b""
    failure: str | None = None
    retry_after: float | None = None

    @property
    def may_be_gone_next_time(self) -> bool:
        return self.failure in ("timeout", "connection") or self.status in BUSY or self.status >= 500


class JudgeClient:
    """One run's dealings with one endpoint: its budget, its failures in a row, whether it knows response_format.

    After `rules.most_failures_in_a_row` failed answers nothing more is asked: a dead endpoint costs minutes.
    """

    def __init__(self, endpoint: Endpoint, rules: JudgeRules, key: str, form: Form = GRADES):
        """`key` signs the nonces of the delimiters; see judge_prompt.py."""
        self.endpoint, self.rules, self.key, self.form = endpoint, rules, key, form
        self.budget = Budget(rules)
        self.structured_output: bool | None = None  # None before the first grades
        self.requests = 0
        self._failures_in_a_row = 0

    def ask(self, items: Sequence[Judged]) -> dict[str, Outcome]:
        """content_id to outcome, for each of `items`. They are asked in their order, so a budget cuts off the end.

        Where tokens or minutes end, a few more or fewer can fit in another run, because requests overlap.
        """
        return asyncio.run(self._ask(items)) if items else {}

    async def _ask(self, items: Sequence[Judged]) -> dict[str, Outcome]:
        import httpx

        outcomes: dict[str, Outcome] = {}
        waiting = iter(items)
        headers = {"Authorization": f"Bearer {self.endpoint.api_key}"} if self.endpoint.api_key else {}
        async with (
            httpx.AsyncClient(headers=headers, timeout=None, follow_redirects=False) as http,
            asyncio.TaskGroup() as workers,
        ):
            for _ in range(min(self.rules.concurrency, len(items))):
                workers.create_task(self._work(http, waiting, outcomes))
        return outcomes

    async def _work(self, http: "httpx.AsyncClient", waiting: Iterator[Judged], outcomes: dict[str, Outcome]) -> None:
        for item in waiting:
            outcomes[item.content_id] = await self._ask_once(http, item)

    async def _ask_once(self, http: "httpx.AsyncClient", item: Judged) -> Outcome:
        request = self._request(item)
        prompt = sum(estimated_tokens(message["content"]) for message in request["messages"])
        estimated = prompt + self.rules.most_answer_tokens
        if limit := self.budget.refusal(estimated):
            return Outcome(not_submitted=limit)
        if self._is_down:
            return Outcome(failure=ENDPOINT_DOWN)
        self.budget.begin(estimated)
        outcome = Outcome(failure=ENDPOINT_DOWN)
        try:
            outcome = await self._with_retries(http, item, request, prompt)
        finally:
            self.budget.end(estimated, outcome.prompt_tokens + outcome.completion_tokens)
        self._failures_in_a_row = 0 if outcome.scores else self._failures_in_a_row + 1
        return outcome

    @property
    def _is_down(self) -> bool:
        return self._failures_in_a_row >= self.rules.most_failures_in_a_row

    def _request(self, item: Judged) -> dict[str, Any]:
        request = {
            "model": self.endpoint.model,
            "messages": self.form.messages(item, self.key),
            "temperature": 0,
            "max_tokens": self.rules.most_answer_tokens,
            **self.rules.parameters,
        }
        return {name: value for name, value in request.items() if value is not None}

    async def _with_retries(
        self, http: "httpx.AsyncClient", item: Judged, request: dict[str, Any], prompt: int
    ) -> Outcome:
        """The outcome of at most `rules.attempts` requests. What may have been billed counts, also without grades."""
        lost = 0  # prompt tokens of requests that went out and were never counted
        for attempt in range(1, self.rules.attempts + 1):
            reply = await self._post_as_it_can(http, request)
            if not reply.may_be_gone_next_time or attempt == self.rules.attempts or self._is_down:
                break
            lost += prompt if reply.failure == "timeout" else 0
            await asyncio.sleep(_wait(item, attempt, reply.retry_after, self.rules))
        if reply.status != 200 or reply.failure:
            billed = lost + (prompt if reply.failure in ("timeout", "too_large", "wrong_content_type") else 0)
            return Outcome(failure=reply.failure or f"http_{reply.status}", prompt_tokens=billed)
        reading = self.form.read_reply(reply.body)
        spent = reading.tokens or (prompt, estimated_tokens(reply.body.decode(errors="replace")))
        return Outcome(reading.scores, reading.failure, None, lost + spent[0], spent[1])

    async def _post_as_it_can(self, http: "httpx.AsyncClient", request: dict[str, Any]) -> _Reply:
        """The reply to the request with response_format, or without it where the endpoint does not take that.

        A 400 may mean something else, so only an endpoint that then answers is believed not to know the field.
        """
        if self.structured_output is not False:
            reply = await self._post(http, {**request, "response_format": self.form.response_format})
            if reply.status not in (400, 422) or self.structured_output:
                self.structured_output = self.structured_output or (True if reply.status == 200 else None)
                return reply
        reply = await self._post(http, request)
        if reply.status == 200 and self.structured_output is None:
            self.structured_output = False
        return reply

    async def _post(self, http: "httpx.AsyncClient", request: dict[str, Any]) -> _Reply:
        """One request. The time limit is for all of it: an endpoint can send a byte a second for ever."""
        import httpx

        self.requests += 1
        try:
            async with asyncio.timeout(self.rules.timeout_seconds):
                url = f"{self.endpoint.url.rstrip('/')}/chat/completions"
                async with http.stream("POST", url, json=request, headers={"Accept-Encoding": "identity"}) as reply:
                    return await _received(reply)
        except TimeoutError:
            return _Reply(failure="timeout")
        except (httpx.HTTPError, httpx.InvalidURL):
            return _Reply(failure="connection")


async def _received(reply: "httpx.Response") -> _Reply:
    """Status and body, as far as it is of use. Compressed bytes are not unpacked: they were not asked for."""
    retry_after = _seconds(reply.headers.get("retry-after"))
    if reply.status_code != 200:
        return _Reply(reply.status_code, retry_after=retry_after)
    if "json" not in reply.headers.get("content-type", "") or reply.headers.get("content-encoding", "identity") != (
        "identity"
    ):
        return _Reply(200, failure="wrong_content_type")
    body = bytearray()
    async for part in reply.aiter_raw():
        body += part
        if len(body) > MOST_REPLY_BYTES:
            return _Reply(200, failure="too_large")
    return _Reply(200, bytes(body))


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds, from either of its two spellings (RFC 9110, 10.2.3); None when it is neither."""
    with suppress(ValueError, TypeError, OverflowError):
        if retry_after and retry_after.strip().isdecimal():
            return float(retry_after)
        if retry_after:
            return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    return None


def _wait(item: Judged, attempt: int, retry_after: float | None, rules: JudgeRules) -> float:
    """Seconds before the next attempt: what the endpoint asks for, else 1 to 1.5 times the doubling back-off.

    The jitter is a hash, so that a run can be repeated.
    """
    digest = hashlib.sha256(f"{item.content_id}{attempt}".encode()).digest()
    doubled = rules.backoff_seconds * 2 ** min(attempt - 1, 30) * (1 + digest[0] / 512)
    return min(rules.most_backoff_seconds, doubled if retry_after is None else max(retry_after, rules.backoff_seconds))

"""Asks a model that somebody serves: any OpenAI-compatible endpoint, such as vLLM or Ollama."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ft_assets.errors import BadConfiguration, BadInput, Rerunnable
from ft_assets.evaluation.asking.backend import Batch, Question, Setting, setting_digest
from ft_assets.evaluation.asking.endpoint_chat import messages_of, read_completion
from ft_assets.evaluation.asking.endpoint_client import Endpoint, Reply, ask, body_of
from ft_assets.evaluation.items import digest
from ft_assets.evaluation.prediction import Prediction

if TYPE_CHECKING:
    import ssl

    import httpx

BATCHES_OF = 8  # requests of each worker between two looks at the clock of the parts
SEED = 0
# What a model list says that stays while the same model is served; vLLM puts today's time into `created`.
IDENTITY = ("id", "root", "parent", "owned_by", "max_model_len")
DOWN = "the endpoint is down: too many requests failed one after the other"


class EndpointBackend:
    """Answers at temperature 0 with a fixed seed. An endpoint tells no likelihood of a given text, so there is none.

    `seconds` of an answer is the wall time of its request, among as many others as run at once.
    """

    def __init__(self, endpoint: Endpoint, max_new_tokens: int, model_digest: str | None = None):
        """`model_digest`: what is known to be served there, such as the artifact that was deployed; otherwise what the
        endpoint's list of models says of it."""
        self.endpoint = endpoint
        self.max_new_tokens = max_new_tokens
        self._given_digest = model_digest
        self._failures_in_a_row = 0

    @cached_property
    def model_digest(self) -> str:
        """The digest that was given, or one of what the endpoint says of the model.

        Raises:
            BadConfiguration: the endpoint serves no model of that name.
            Rerunnable: the endpoint cannot be reached.
        """
        return self._given_digest or digest({"served model": self._identity})

    @cached_property
    def setting(self) -> Setting:
        """How this endpoint is asked. Its hardware is unknown: another address counts as another machine."""
        return {
            "backend": "OpenAI-compatible endpoint",
            "version": self._version,
            "endpoint": digest(self.endpoint.url.rstrip("/"))[:16],
            "decoding": "temperature 0",
            "seed": SEED,
            "max_new_tokens": self.max_new_tokens,
            "batches": f"{self.endpoint.concurrency} requests at once",
        }

    def batches(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """Some requests for each worker at a time, in the order of the questions."""
        if not questions:
            return
        # Both may ask the endpoint for what it is; from within the loop of the requests that is not possible.
        asked = (self.model_digest, setting_digest(self.setting))
        size = self.endpoint.concurrency * BATCHES_OF
        for start in range(0, len(questions), size):
            yield asyncio.run(self._batch(questions[start : start + size], *asked))

    def alone(self) -> "EndpointBackend":
        """The same endpoint, one request at a time."""
        one = replace(self.endpoint, concurrency=1)
        return EndpointBackend(one, self.max_new_tokens, self.model_digest)

    def as_served(self) -> "EndpointBackend":
        """The same: it is served already."""
        return self.alone()

    async def _batch(self, questions: Sequence[Question], model: str, setting: str) -> Batch:
        predictions: list[Prediction] = []
        missing: dict[str, str] = {}
        waiting = iter(questions)

        async def work(http: "httpx.AsyncClient") -> None:
            for question in waiting:
                answered = await self._answered(http, question, model, setting)
                if isinstance(answered, str):
                    missing[question.row_id] = answered
                else:
                    predictions.append(answered)

        async with _client(self.endpoint) as http, asyncio.TaskGroup() as workers:
            for _ in range(min(self.endpoint.concurrency, len(questions))):
                workers.create_task(work(http))
        return Batch(sorted(predictions, key=lambda one: one.row_id), missing)

    async def _answered(
        self, http: "httpx.AsyncClient", question: Question, model: str, setting: str
    ) -> Prediction | str:
        """The answer, or why there is none."""
        if self._failures_in_a_row >= self.endpoint.most_failures_in_a_row:
            return DOWN
        try:
            request = self._request(question)
        except BadInput as unreadable:
            return str(unreadable)
        started = time.perf_counter()
        reply = await ask(http, self.endpoint, "POST", "/chat/completions", request)
        seconds = time.perf_counter() - started
        lost = reply.may_be_gone_next_time
        self._failures_in_a_row = self._failures_in_a_row + 1 if lost else 0
        said = reply.problem or read_completion(body_of(reply))
        if isinstance(said, str):
            return said
        return Prediction(
            model_digest=model,
            setting_digest=setting,
            prompt_digest=question.digest,
            row_id=question.row_id,
            answer=said.answer,
            n_tokens=said.n_tokens,
            cut_off=said.cut_off,
            seconds=seconds,
        )

    def _request(self, question: Question) -> dict[str, Any]:
        decoding = {"temperature": 0, "top_p": 1, "seed": SEED, "max_tokens": self.max_new_tokens, "stream": False}
        return {"model": self.endpoint.model, "messages": messages_of(question), **decoding}

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What the endpoint says of the model; its name alone where the endpoint keeps no list."""
        reply = asyncio.run(_get(self.endpoint, "/models"))
        if reply.may_be_gone_next_time:
            raise Rerunnable(
                f"The endpoint at {urlsplit(self.endpoint.url).netloc} does not list its models ({reply.problem}), so "
                "nobody knows whose answers these would be. Run again when it is up."
            )
        listed = body_of(reply).get("data") if reply.status == 200 else None
        if not isinstance(listed, list):
            return {"id": self.endpoint.model}
        entries = [entry for entry in listed if isinstance(entry, dict) and entry.get("id") == self.endpoint.model]
        if not entries:
            raise BadConfiguration(
                f"The endpoint at {urlsplit(self.endpoint.url).netloc} lists {len(listed)} models, and none is called "
                f"{self.endpoint.model!r}. Use a name that it serves."
            )
        return {name: entries[0][name] for name in IDENTITY if name in entries[0]}

    @cached_property
    def _version(self) -> str:
        """Where vLLM and Ollama say their version; unknown for others."""
        root = replace(self.endpoint, url=self.endpoint.url.rstrip("/").removesuffix("/v1"), attempts=1)
        for path in ("/version", "/api/version"):
            reply = asyncio.run(_get(root, path))
            said = body_of(reply).get("version") if reply.status == 200 else None
            if isinstance(said, str):
                return said
        return "unknown"


def _client(endpoint: Endpoint) -> "httpx.AsyncClient":
    import httpx

    headers = {"Accept-Encoding": "identity", **endpoint.headers()}
    return httpx.AsyncClient(headers=headers, timeout=None, follow_redirects=False, verify=_trusted())


@cache
def _trusted() -> "ssl.SSLContext":
    """Whom a client trusts: 0.1 s of CPU, and an endpoint that is asked row by row has a client for each."""
    import httpx

    return httpx.create_ssl_context()


async def _get(endpoint: Endpoint, path: str) -> Reply:
    async with _client(endpoint) as http:
        return await ask(http, endpoint, "GET", path)

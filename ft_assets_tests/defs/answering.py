"""What served models answer in tests of `evaluation_report`, and what is read of its runs."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from ft_assets_tests.defs.evaluated_lines import expected
from ft_assets_tests.evaluation.chat_server import ChatServer, Handler, completion

Answer = Callable[[str], str]

SERVED = {"candidate": "new", "champion": "old", "base": "base"}


def answering(server: ChatServer, **models: Answer) -> dict[str, Any]:
    """Lets the server answer as these models, by the name that each is served under; the others say that they do not
    know. Returns what a line says of its endpoint."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        said = models.get(body["model"], lambda question: "I do not know.")(body["messages"][-1]["content"])
        handler.send(200, completion({"content": said}, len(said.split())))

    server.otherwise = reply
    return {"url": server.url, "models": SERVED}


def right(question: str) -> str:
    """The reference of a golden question; nothing to the point for any other."""
    case = re.search(r"case (\d+)", question)
    return expected(int(case[1])) if case else "Nothing is known."


def wrong_from(first: int) -> Answer:
    """Right answers up to this case, then nonsense of that length."""

    def answer(question: str) -> str:
        said = right(question)
        case = re.search(r"case (\d+)", question)
        return said if case and int(case[1]) < first else "x " * len(said.split())

    return answer


def asked_of(server: ChatServer, model: str) -> int:
    """How often a model was asked."""
    return sum(body["model"] == model for body in server.bodies)


def conditions(report: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The conditions of this kind that a verdict rests on."""
    return [condition for condition in report["verdict"]["conditions"] if condition["kind"] == kind]


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What failed in a run."""
    return " ".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)

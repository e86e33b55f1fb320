"""An OpenAI-compatible endpoint over real HTTP, honest and misbehaving."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration, Rerunnable
from ft_assets.evaluation.answers import TABLE, Answers, answers_to
from ft_assets.evaluation.asking.backend import questions_of
from ft_assets.evaluation.asking.endpoint_backend import DOWN, EndpointBackend
from ft_assets.evaluation.asking.endpoint_chat import messages_of
from ft_assets.evaluation.asking.endpoint_client import Endpoint
from ft_assets.evaluation.items import EvalItem
from ft_assets.lake import Lake
from ft_assets.records import Message
from ft_assets_tests.evaluation.chat_server import (
    ChatServer,
    Reply,
    chat_server,
    fails,
    hangs_up,
    says,
    stalls,
    tears,
    tears_json,
)
from ft_assets_tests.evaluation.samples import item

pytestmark = pytest.mark.service
KEY = "sk-not-to-be-seen"
CALL = '[{"name": "restart", "arguments": {"queue": "mail"}}]'


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def backend_of(server: ChatServer, **options: object) -> EndpointBackend:
    impatient = {"timeout_seconds": 0.5, "backoff_seconds": 0.01, "most_backoff_seconds": 0.05, "attempts": 3}
    return EndpointBackend(Endpoint(server.url, "tuned", **{**impatient, **options}), max_new_tokens=5)


def items(count: int) -> list[EvalItem]:
    return [item(f"r{i:02d}", f"Please repeat\nword{i} and more", "word") for i in range(count)]


def asked(backend: EndpointBackend, rows: int, lake: Path) -> Answers:
    return answers_to(Lake(str(lake)), backend, items(rows), "Be brief.")


def test_every_row_is_answered_and_kept_and_nothing_is_known_of_likelihoods(server: ChatServer, tmp_path: Path) -> None:
    said = asked(backend_of(server), 20, tmp_path)
    assert [one.answer for one in said.predictions] == [f"word{i} and more" for i in range(20)]
    assert {(one.n_tokens, one.cut_off, one.answer_nll, one.answer_tokens) for one in said.predictions} == {
        (3, False, None, None)
    }
    assert asked(backend_of(server), 20, tmp_path).asked == 0
    assert len(server.bodies) == 20


def test_it_is_asked_greedily_with_the_system_prompt_and_never_the_reference(
    server: ChatServer, tmp_path: Path
) -> None:
    asked(backend_of(server), 1, tmp_path)
    assert server.bodies == [
        {
            "model": "tuned",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Please repeat\nword0 and more"},
            ],
            **{"temperature": 0, "top_p": 1, "seed": 0, "max_tokens": 5, "stream": False},
        }
    ]


def test_an_answer_that_was_stopped_says_so(server: ChatServer, tmp_path: Path) -> None:
    long = [item("r", "one two three four five six seven", "x")]
    [said] = answers_to(Lake(str(tmp_path)), backend_of(server), long, None).predictions
    assert (said.answer, said.n_tokens, said.cut_off) == ("one two three four five", 5, True)


@pytest.mark.parametrize("fault", [fails(500), fails(429, Retry_After="0"), stalls, tears, tears_json, hangs_up])
def test_what_goes_by_is_asked_again(server: ChatServer, tmp_path: Path, fault: Reply) -> None:
    server.replies = [fault, fault]
    said = asked(backend_of(server, concurrency=1), 2, tmp_path)
    assert (len(said.predictions), said.missing, len(server.bodies)) == (2, {}, 4)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (fails(500), "status 500"),
        (fails(400), "status 400"),
        (stalls, "no reply within 0.5 seconds"),
        (tears, "the connection failed"),
        (tears_json, "the reply is torn or no JSON"),
        (says({"content": ["no text"]}), "the content of the reply is no text"),
        (says({"content": "x"}, tokens=None), "the reply does not count its tokens (usage.completion_tokens)"),
        (says({"content": None, "tool_calls": [{}]}), "the tool calls of the reply cannot be read"),
    ],
)
def test_what_stays_is_missing_with_its_reason_and_the_others_are_answered(
    server: ChatServer, tmp_path: Path, fault: Reply, reason: str
) -> None:
    server.replies = [fault, fault]
    said = asked(backend_of(server, concurrency=1, attempts=2), 3, tmp_path)
    assert said.missing["r00"] == reason
    assert said.predictions[-1].row_id == "r02"


def test_a_dead_endpoint_is_asked_no_more_and_is_not_evaluated(server: ChatServer, tmp_path: Path) -> None:
    backend = backend_of(server, concurrency=2, attempts=1, most_failures_in_a_row=4)
    assert backend.model_digest and backend.setting
    server.otherwise = hangs_up
    said = asked(backend, 50, tmp_path)
    assert len(server.bodies) <= 6
    assert said.predictions == [] and list(said.missing.values()).count(DOWN) >= 44
    assert said.not_evaluated and "0 of 50 rows" in said.not_evaluated


def test_a_tool_call_in_the_reply_is_written_as_a_reference_is(server: ChatServer, tmp_path: Path) -> None:
    call = {"id": "x", "type": "function", "function": {"name": "restart", "arguments": '{"queue": "mail"}'}}
    server.replies = [says({"content": None, "tool_calls": [call]})]
    reference = item("r", "The queue hangs.", "", tool_calls=CALL)
    [said] = answers_to(Lake(str(tmp_path)), backend_of(server), [reference], None).predictions
    assert said.answer == reference.reference


def test_calls_and_their_results_in_a_prompt_belong_together() -> None:
    turns = (
        Message(role="system", content="Own."),
        Message(role="user", content="The queue hangs."),
        Message(role="assistant", content="", tool_calls=CALL),
        Message(role="tool", content="done"),
        Message(role="assistant", content="It runs."),
    )
    [question] = questions_of([EvalItem("r", "c", "t", "s", turns)], "Not used.")
    system, _, called, result = messages_of(question)
    assert system["content"] == "Own."
    assert called["tool_calls"][0]["id"] == result["tool_call_id"] == "call00001"
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"queue": "mail"}


def test_a_side_is_the_model_that_is_served_and_not_the_time_of_day(server: ChatServer) -> None:
    again, other = backend_of(server), backend_of(server)
    other.endpoint = replace(other.endpoint, model="base")
    assert backend_of(server).model_digest == again.model_digest != other.model_digest
    known = EndpointBackend(again.endpoint, 5, model_digest="d" * 64)
    assert known.model_digest == "d" * 64
    assert again.setting == other.setting and again.setting["version"] == "1.2.3"


def test_a_model_that_is_not_served_is_refused_and_a_dead_list_can_be_tried_again(server: ChatServer) -> None:
    unknown = EndpointBackend(Endpoint(server.url, "elsewhere"), 5)
    with pytest.raises(BadConfiguration, match="lists 2 models, and none is called 'elsewhere'"):
        _ = unknown.model_digest
    nobody = Endpoint("http://127.0.0.1:9/v1", "tuned", attempts=1)
    with pytest.raises(Rerunnable, match="does not list its models"):
        _ = EndpointBackend(nobody, 5).model_digest


def test_a_key_is_sent_and_stands_in_no_record(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setenv("OWN_KEY", KEY)
    for place in ({"api_key_variable": "OWN_KEY"}, {"api_key_file": tmp_path / "key"}):
        backend = backend_of(server, **place)
        said = asked(backend, 2, tmp_path / str(len(server.keys)))
        assert KEY not in f"{backend.endpoint}{backend.setting}{said}"
        assert not any(KEY.encode() in file.read_bytes() for file in (tmp_path / "0").rglob("*") if file.is_file())
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_a_missing_key_and_an_address_with_a_password_are_refused_without_quoting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OWN_KEY", raising=False)
    with pytest.raises(BadConfiguration, match="the variable OWN_KEY is absent"):
        Endpoint("http://host/v1", "m", api_key_variable="OWN_KEY").headers()
    with pytest.raises(BadConfiguration) as refused:
        Endpoint(f"http://user:{KEY}@host/v1", "m")
    assert KEY not in str(refused.value)


def test_answers_are_kept_in_parts_while_it_is_asked(server: ChatServer, tmp_path: Path) -> None:
    lake, rows = Lake(str(tmp_path)), []

    def look(done: int, of: int) -> None:
        rows.append((done, lake.scan(TABLE).collect().height if lake.exists(TABLE) else 0))

    answers_to(lake, backend_of(server, concurrency=2), items(40), None, look, part_batches=1)
    assert rows == [(16, 16), (32, 32), (40, 40)]

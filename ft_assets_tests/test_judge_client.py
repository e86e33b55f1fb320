"""A real server that misbehaves in every way we know, and what the client makes of it."""

import gzip
import json
import time
from typing import Any

import pytest

from ft_assets.judge_client import Endpoint, JudgeClient, Outcome
from ft_assets.judge_prompt import CRITERIA, Item
from ft_assets.judge_rules import JudgeRules
from ft_assets_tests.judge_server import (
    JudgeServer,
    completion,
    drips,
    fails,
    hangs_up,
    judge_server,
    knows_no_response_format,
    says,
    sends,
    stalls,
)

pytestmark = pytest.mark.service

QUICK = JudgeRules(timeout_seconds=0.5, attempts=2, backoff_seconds=0.01, most_backoff_seconds=0.2, concurrency=4)
GRADES = json.dumps(dict.fromkeys(CRITERIA, 4))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def items(count: int) -> list[Item]:
    answers = [f"Restart worker {number}: its lease of the queue is lost." for number in range(count)]
    return [Item(f"{number:064x}", "(user)\nWhy does the queue stop?", answer) for number, answer in enumerate(answers)]


def client(server: JudgeServer, rules: JudgeRules = QUICK, **changes: Any) -> JudgeClient:
    endpoint = Endpoint(server.url, "judge-1", "sk-secret")
    return JudgeClient(endpoint, rules.model_copy(update=changes), "key")


def kinds(outcomes: dict[str, Outcome]) -> list[str | None]:
    return [outcomes[name].failure for name in sorted(outcomes)]


def test_an_honest_endpoint_gives_five_scores_and_the_request_says_what_it_must() -> None:
    with judge_server() as server:
        judge = client(server, parameters={"seed": 7, "max_tokens": None, "max_completion_tokens": 99})
        outcomes = judge.ask(items(20))
        again = client(server).ask(items(20))
    assert all(outcome.scores and set(outcome.scores) == set(CRITERIA) for outcome in outcomes.values())
    assert {name: each.scores for name, each in outcomes.items()} == {name: each.scores for name, each in again.items()}
    body, headers = server.bodies[0], server.seen_headers[0]
    assert (body["model"], body["temperature"], body["seed"], body["max_completion_tokens"]) == ("judge-1", 0, 7, 99)
    assert "max_tokens" not in body
    assert body["response_format"]["json_schema"]["schema"]["required"] == list(CRITERIA)
    assert headers["Authorization"] == "Bearer sk-secret"
    assert judge.structured_output is True and judge.budget.tokens == 20 * 540
    assert "sk-secret" not in repr(judge.endpoint)


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (fails(401), "http_401"),
        (fails(400), "http_400"),
        (fails(307, Location="http://127.0.0.1:9/elsewhere"), "http_307"),
        (fails(500), "http_500"),
        (fails(429), "http_429"),
        (hangs_up, "connection"),
        (drips, "timeout"),
        (stalls(1.5), "timeout"),
        (sends(b"<html>sign in</html>", "text/html"), "wrong_content_type"),
        (sends(completion(GRADES), "text/event-stream"), "wrong_content_type"),
        (sends(gzip.compress(completion(GRADES)), Content_Encoding="gzip"), "wrong_content_type"),
        (sends(b" " * 2_000_000), "too_large"),
        (sends(b"\xff\xfe{"), "not_json"),
        (sends(b'{"error": {"message": "model is loading"}}'), "error_body"),
        (says("Five out of five, a masterpiece."), "not_json_answer"),
        (says(GRADES[:30]), "not_json_answer"),
        (says('{"relevance": 5}'), "missing_criteria"),
        (says(GRADES.replace("4", "9")), "out_of_range"),
        (says(None, message={"refusal": "I will not."}), "refusal"),
        (says(GRADES, finish_reason="length"), "cut_off"),
    ],
)
def test_every_misbehaviour_is_a_failure_with_a_name_and_never_a_score(reply: Any, failure: str) -> None:
    with judge_server(reply) as server:
        outcomes = client(server).ask(items(2))
    assert kinds(outcomes) == [failure, failure]
    assert not any(outcome.scores for outcome in outcomes.values())


def test_a_server_that_is_not_there_is_a_failed_connection() -> None:
    with judge_server() as server:
        judge = client(server)
    assert kinds(judge.ask(items(2))) == ["connection", "connection"]


def test_what_may_be_gone_next_time_is_tried_again_and_the_rest_is_not() -> None:
    with judge_server() as server:
        server.replies = [fails(503), fails(429), hangs_up]
        assert kinds(client(server, attempts=4).ask(items(1))) == [None]
        assert len(server.bodies) == 4
    with judge_server(fails(403)) as server:
        assert kinds(client(server, attempts=4).ask(items(1))) == ["http_403"]
        assert len(server.bodies) == 1


def test_retry_after_is_waited_for_up_to_the_longest_wait() -> None:
    with judge_server() as server:
        server.replies = [fails(429, Retry_After="0.4"), fails(429, Retry_After="1"), fails(503, Retry_After="999999")]
        started = time.monotonic()
        outcomes = client(server, attempts=4, most_backoff_seconds=0.3).ask(items(1))
        assert kinds(outcomes) == [None]
        assert 0.6 < time.monotonic() - started < 3


def test_an_endpoint_without_structured_output_is_asked_without_it_and_that_is_recorded() -> None:
    with judge_server(knows_no_response_format) as server:
        judge = client(server, concurrency=1)
        assert kinds(judge.ask(items(5))) == [None] * 5
        assert judge.structured_output is False
        assert ["response_format" in body for body in server.bodies] == [True, False, False, False, False, False]


def test_a_400_for_one_text_does_not_end_structured_output() -> None:
    with judge_server() as server:
        server.replies = [fails(400), fails(400)]
        judge = client(server, concurrency=1)
        assert kinds(judge.ask(items(3))) == ["http_400", None, None]
        assert judge.structured_output is True


@pytest.mark.parametrize("reply", [stalls(1.5), fails(401), says("nonsense")])
def test_an_endpoint_that_is_dead_from_the_start_costs_seconds(reply: Any) -> None:
    with judge_server(reply) as server:
        started = time.monotonic()
        outcomes = client(server, most_failures_in_a_row=6).ask(items(2000))
        asked = len(server.bodies)
    assert time.monotonic() - started < 10
    assert asked <= 24
    assert kinds(outcomes).count("endpoint_down") > 1980 and len(outcomes) == 2000


def test_a_few_failures_between_good_replies_stop_nothing() -> None:
    with judge_server() as server:
        server.replies = [reply for _ in range(20) for reply in (says("nonsense"), says(GRADES))]
        outcomes = client(server, most_failures_in_a_row=3, concurrency=1).ask(items(40))
    assert kinds(outcomes).count("not_json_answer") == 20 and kinds(outcomes).count(None) == 20


def test_never_more_requests_under_way_than_allowed() -> None:
    under_way, most = [0], [0]

    def slow(handler: Any, body: dict[str, Any]) -> None:
        with handler.server.lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        with handler.server.lock:
            under_way[0] -= 1
        says(GRADES)(handler, body)

    with judge_server(slow) as server:
        client(server, concurrency=3).ask(items(24))
    assert most[0] == 3


def test_budgets_leave_the_end_out_and_call_it_not_submitted() -> None:
    with judge_server() as server:
        some = client(server, most_items=7).ask(items(10))
        assert [each.not_submitted for each in some.values()].count("most_items") == 3
        assert [some[item.content_id].scores is not None for item in items(10)] == [True] * 7 + [False] * 3
        tokens = client(server, most_tokens=4_000, concurrency=1)
        answered = [each for each in tokens.ask(items(10)).values() if each.scores]
        assert 0 < len(answered) < 7 and tokens.budget.tokens <= 4_000
        dollars = client(server, most_dollars=0.004, dollars_per_million_tokens=1.0, concurrency=1)
        assert {each.not_submitted for each in dollars.ask(items(10)).values()} == {None, "most_dollars"}
        assert kinds(client(server, most_item_tokens=100).ask(items(1))) == [None]
        assert client(server, most_item_tokens=100).ask(items(1))[items(1)[0].content_id].not_submitted
        before = len(server.bodies)
        late = client(server, most_minutes=1e-9).ask(items(3))
        assert {each.not_submitted for each in late.values()} == {"most_minutes"} and len(server.bodies) == before


def test_tokens_are_estimated_where_the_endpoint_counts_none_or_nonsense() -> None:
    bare = json.loads(completion(GRADES)) | {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    with judge_server(sends(json.dumps(bare).encode())) as server:
        outcome = next(iter(client(server).ask(items(1)).values()))
    assert outcome.scores and 400 < outcome.prompt_tokens < 1500 and outcome.completion_tokens > 20


def test_a_request_that_timed_out_may_have_been_billed_and_counts() -> None:
    with judge_server(stalls(1.5)) as server:
        judge = client(server, timeout_seconds=0.2)
        judge.ask(items(1))
    assert judge.budget.tokens > 800  # two attempts of the prompt

import json

import pytest

from ft_assets.judge_prompt import CRITERIA
from ft_assets.judge_reply import read_reply
from ft_assets_tests.judge_server import completion

GRADES = dict(zip(CRITERIA, (5, 4, 3, 2, 1), strict=True))


def with_usage(**usage: object) -> bytes:
    return json.dumps(json.loads(completion(json.dumps(GRADES))) | {"usage": usage}).encode()


def test_grades_from_1_to_5_become_scores_from_0_to_1() -> None:
    reading = read_reply(completion(json.dumps(GRADES)))
    assert reading.failure is None
    assert reading.scores == dict(zip(CRITERIA, (1.0, 0.75, 0.5, 0.25, 0.0), strict=True))
    assert reading.tokens == (500, 40)


@pytest.mark.parametrize(
    "content",
    [
        f"```json\n{json.dumps(GRADES)}\n```",
        f"<think>it is 5, or {{}}</think>\n{json.dumps(GRADES)}",
        json.dumps(GRADES | {"relevance": 5.0, "reason": "clear"}),
    ],
)
def test_what_endpoints_without_structured_output_write_around_the_grades_is_taken_off(content: str) -> None:
    scores = read_reply(completion(content)).scores
    assert scores and scores["relevance"] == 1


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"<html>busy</html>", "not_json"),
        (b"[" * 5000, "not_json"),
        (b'"5"', "no_answer"),
        (b'{"error": {"message": "overloaded"}}', "error_body"),
        (b'{"choices": []}', "no_answer"),
        (b'{"choices": [{"message": null}]}', "no_answer"),
        (completion(None), "no_answer"),
        (completion("  "), "no_answer"),
        (completion(None, message={"content": None, "refusal": "I cannot grade this."}), "refusal"),
        (completion(json.dumps(GRADES), finish_reason="length"), "cut_off"),
        (completion("", finish_reason="content_filter"), "content_filter"),
        (completion("I would say five out of five."), "not_json_answer"),
        (completion('{"relevance": 5, "complete'), "not_json_answer"),
        (completion("[" * 100_000), "not_json_answer"),
        (completion("9" * 5000), "not_json_answer"),
        (completion("[5, 5, 5, 5, 5]"), "not_json_answer"),
        (completion(f"As the answer says: {json.dumps(GRADES)}"), "not_json_answer"),
        (completion(json.dumps(GRADES)[:-1] + ', "relevance": 1}'), "ambiguous"),
        (completion('{"relevance": 5}'), "missing_criteria"),
        (completion(json.dumps(GRADES | {"clarity": 6})), "out_of_range"),
        (completion(json.dumps(GRADES | {"clarity": 0})), "out_of_range"),
        (completion(json.dumps(GRADES | {"clarity": -(10**400)})), "out_of_range"),
        (completion(json.dumps(GRADES | {"clarity": 4.5})), "not_a_grade"),
        (completion(json.dumps(GRADES | {"clarity": "5"})), "not_a_grade"),
        (completion(json.dumps(GRADES | {"clarity": True})), "not_a_grade"),
        (completion(json.dumps(GRADES | {"clarity": None})), "not_a_grade"),
        (completion(json.dumps(GRADES | {"clarity": float("nan")})), "not_a_grade"),
        (completion(json.dumps(GRADES | {"clarity": float("inf")})), "not_a_grade"),
    ],
)
def test_every_kind_of_nonsense_has_a_name_and_gives_no_score(body: bytes, failure: str) -> None:
    reading = read_reply(body)
    assert (reading.scores, reading.failure) == (None, failure)


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": -5, "completion_tokens": 1},
              {"prompt_tokens": "many", "completion_tokens": 1}, {"prompt_tokens": 10**18, "completion_tokens": 1}]
)  # fmt: skip
def test_a_count_of_tokens_that_cannot_be_is_no_count(usage: dict[str, object]) -> None:
    reading = read_reply(with_usage(**usage))
    assert reading.scores is not None and reading.tokens is None

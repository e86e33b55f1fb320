"""judge_scores as Dagster runs it, with a real endpoint on this machine."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from ft_assets.curation.judge_signals import with_judge
from ft_assets.defs import judging
from ft_assets.defs.judging import AGREES, COVERED, judge_scores
from ft_assets.defs.sources import raw_interactions
from ft_assets.judge_prompt import CRITERIA
from ft_assets.lake import Lake
from ft_assets_tests.defs.test_data_wing import evaluation, put
from ft_assets_tests.judge_server import JudgeServer, Reply, fails, judge_server, says

FIRST, SECOND = "2026-03-01", "2026-03-02"
GOOD = json.dumps(dict.fromkeys(CRITERIA, 5))
POOR = json.dumps(dict.fromkeys(CRITERIA, 2))
service = pytest.mark.service


def answer(name: str, words: str = "", **more: Any) -> dict[str, Any]:
    question = f"Why does the import of the billing tables stop after file {words or name}?"
    cause = f"The import of the billing tables stops at the first umlaut of file {words or name}"
    said = f"{cause}; convert it to UTF-8 and start again."
    return {"interaction_id": name, "input_text": question, "output_text": said, **more}


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with judge_server() as running:
        yield running


@pytest.fixture
def configured(server: JudgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the endpoint, and rules where they are given."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def configure(**rules: Any) -> None:
        path = tmp_path / "rules.yaml"
        limits = {"timeout_seconds": 5, "attempts": 2, "backoff_seconds": 0.01, **rules}
        path.write_text(yaml.safe_dump({"judge": limits}))
        endpoint = {"judge_url": server.url, "judge_model": "judge-1", "judge_api_key": "sk-secret", "rules": path}
        monkeypatch.setattr(judging, "SETTINGS", judging.SETTINGS.model_copy(update=endpoint))

    configure()
    return configure


def run(
    instance: dg.DagsterInstance, resources: dict[str, Any], first: str = FIRST, last: str = FIRST
) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    wing = [raw_interactions, judge_scores]
    return dg.materialize(wing, resources=resources, instance=instance, tags=tags, raise_on_error=False)


def report(instance: dg.DagsterInstance, day: str = FIRST) -> dict[str, Any]:
    """The metadata of the day's latest materialization."""
    where = dg.AssetRecordsFilter(asset_key=judge_scores.key, asset_partitions=[day])
    made = instance.fetch_materializations(where, limit=1).records[0].asset_materialization
    assert made is not None
    return {name: value.value for name, value in made.metadata.items()}


@pytest.mark.slow
def test_without_an_endpoint_nothing_is_judged_and_nothing_is_written(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, answer("a"))
    result = run(instance, resources)
    assert result.success
    assert report(instance)["why"] == "no judge is configured: set FT_ASSETS_JUDGE_URL"
    assert not any(lake.exists(name) for name in ("judge_scores", "judge_agreement", "judge_cache"))
    assert all(evaluation(result, name).passed for name in (COVERED, AGREES))


@service
def test_a_judged_day_has_a_row_per_answer_and_criterion_and_says_what_it_cost(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    configured(dollars_per_million_tokens=2.0)
    put(lake, FIRST, answer("a"), answer("b"))
    put(lake, SECOND, answer("c"))
    result = run(instance, resources, FIRST, SECOND)
    assert result.success and evaluation(result, COVERED).passed
    rows = lake.scan("judge_scores").collect()
    assert rows.height == 15 and rows["status"].unique().to_list() == ["scored"]
    assert rows.filter(pl.col("interaction_id") == "a")["criterion"].to_list() == list(CRITERIA)
    assert rows.filter(pl.col("prompt_tokens") > 0)["criterion"].unique().to_list() == ["relevance"]
    counts = report(instance)
    assert (counts["submitted"], counts["scored"], counts["cached"], counts["failed"]) == (2, 2, 0, {})
    assert (counts["prompt_tokens"], counts["dollars"], counts["coverage"]) == (1000, 0.00216, 1.0)
    assert counts["mean_over_submitted"] == counts["mean_of_scored"] and 0 < counts["mean_of_scored"] < 1
    assert (report(instance, SECOND)["submitted"], counts["judge_model"]) == (1, "judge-1")


@service
def test_no_secret_reaches_the_endpoint_or_the_tables(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    row = answer("a", user_id="jane.doe@example.com", context="call +1 415 555 0134 or jane.doe@example.com")
    row["output_text"] += " The key AKIAIOSFODNN7EXAMPLE of jane.doe@example.com was revoked."
    row["input_text"] += " my card is 4111 1111 1111 1111"
    put(lake, FIRST, row)
    assert run(instance, resources).success
    sent = "".join(server.raw) + str(lake.scan("judge_scores").collect().rows())
    assert "<EMAIL_1>" in sent
    for secret in ("jane", "AKIA", "4111", "555", "sk-secret"):
        assert secret not in sent


@service
def test_what_was_judged_once_is_not_asked_again_today_tomorrow_or_on_another_day(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, answer("a"), answer("b"), answer("twin", words="b"))
    run(instance, resources)
    assert len(server.bodies) == 2
    first = lake.scan("judge_scores").collect()
    put(lake, SECOND, answer("copy", words="a"), answer("d"))
    run(instance, resources, FIRST, SECOND)
    assert len(server.bodies) == 3
    rows = lake.scan("judge_scores").collect()
    same = ["interaction_id", "criterion"]
    again = rows.filter(pl.col("day") == FIRST).sort(same)
    assert again["score"].equals(first.sort(same)["score"]) and again["cached"].all()
    assert dict(rows.filter(pl.col("day") == SECOND).select("interaction_id", "cached").iter_rows()) == {
        "copy": True,
        "d": False,
    }
    assert again["prompt_tokens"].sum() == 0 and report(instance)["cached"] == 3


@service
def test_failures_stay_in_the_denominator_and_below_98_percent_the_run_stops(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, *(answer(f"i{number}") for number in range(20)))
    configured(concurrency=1)
    server.otherwise = says(GOOD)
    server.replies = [says("nonsense"), says('{"relevance": 5}')]
    result = run(instance, resources)
    assert not result.success
    check = evaluation(result, COVERED)
    assert not check.passed and check.blocking
    assert "18 of 20 submitted answers were scored, and 98% must be" in str(check.description)
    counts = report(instance)
    assert counts["failed"] == {"missing_criteria": 1, "not_json_answer": 1}
    assert counts["mean_over_submitted"] == pytest.approx(0.9) and counts["mean_of_scored"] == 1.0
    rows = lake.scan("judge_scores").collect()
    assert rows["interaction_id"].n_unique() == 20 and rows.filter(pl.col("status") == "failed").height == 10
    assert run(instance, resources).success, "a rerun asks for the two that are missing"
    assert len(server.bodies) == 22


@service
def test_a_budget_leaves_answers_out_openly_and_the_next_run_goes_on(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, *(answer(f"i{number}") for number in range(10)))
    configured(most_items=6)
    result = run(instance, resources)
    assert result.success
    counts = report(instance)
    assert (counts["submitted"], counts["coverage"], counts["not_submitted"]) == (6, 1.0, {"most_items": 4})
    assert run(instance, resources).success
    assert report(instance)["submitted"] == 10 and len(server.bodies) == 10


class Killed(BaseException):
    """What a killed process looks like from inside."""


@service
def test_a_run_that_dies_has_not_paid_for_nothing(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, *(answer(f"i{number}") for number in range(12)))
    dg.materialize([raw_interactions], resources=resources, instance=instance, partition_key=FIRST)
    configured(items_between_saves=4, concurrency=1)
    run_of_it = judging.Judging(lake)
    ask = run_of_it.client.ask

    def ask_twice_and_die(items: Any) -> Any:
        if len(server.bodies) >= 8:
            raise Killed
        return ask(items)

    run_of_it.client.ask = ask_twice_and_die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run_of_it.judge_batch([FIRST])
    assert not lake.exists("judge_scores") and lake.scan("judge_cache").collect().height == 8 * 5
    assert run(instance, resources).success
    assert len(server.bodies) == 12, "only the four that nobody was told about"
    assert lake.scan("judge_scores").collect().height == 60 and lake.scan("judge_cache").collect().height == 0


@service
def test_a_dead_endpoint_stops_the_run_in_seconds_and_its_answers_are_failures(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, *(answer(f"i{number}") for number in range(200)))
    server.otherwise = fails(503)
    started = time.monotonic()
    result = run(instance, resources)
    assert not result.success and time.monotonic() - started < 20
    counts = report(instance)
    assert counts["submitted"] == 200 and counts["scored"] == 0
    assert counts["failed"]["endpoint_down"] > 150 and counts["mean_over_submitted"] == 0.0


def by_number(handler: Any, body: dict[str, Any]) -> None:
    """Praises answers with an even number."""
    number = int(body["messages"][1]["content"].split("file i")[1].split()[0].rstrip("?;"))
    says(GOOD if number % 2 == 0 else POOR)(handler, body)


@service
@pytest.mark.parametrize(("judge", "may_decide"), [(by_number, True), (says(GOOD), False)])
def test_a_judge_decides_only_as_far_as_people_agree_with_it(
    judge: Reply,
    may_decide: bool,
    lake: Lake,
    server: JudgeServer,
    configured: Any,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
) -> None:
    server.otherwise = judge
    put(lake, FIRST, *(answer(f"i{number}", user_feedback=5 if number % 2 == 0 else 2) for number in range(60)))
    put(lake, SECOND, {"interaction_id": "i1", "verdict": "reject"}, {"interaction_id": "i3", "corrected_output": "no"})
    result = run(instance, resources, FIRST, SECOND)
    assert result.success, "agreement warns and does not stop the run"
    assert evaluation(result, AGREES).passed is may_decide
    row = lake.scan("judge_agreement", {"day": [FIRST]}).collect().row(0, named=True)
    assert row["may_decide"] is may_decide and row["labelled"] == 59, "a corrected answer is not asked about"
    raw, scores = (lake.scan(name).collect() for name in ("raw_interactions", "judge_scores"))
    laid_over = with_judge(raw, scores, lake.scan("judge_agreement").collect())
    assert set(laid_over["judge_trusted"].drop_nulls()) == {may_decide}
    assert ("below 0.4" in row["reason"]) is not may_decide


@service
def test_a_correction_that_comes_weeks_later_counts_against_the_answer_that_was_judged(
    lake: Lake, server: JudgeServer, configured: Any, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, FIRST, answer("a"), answer("b", user_feedback=5))
    run(instance, resources)
    put(lake, "2026-03-20", {"interaction_id": "a", "corrected_output": "Ask the supplier for another file."})
    run(instance, resources, "2026-03-20", "2026-03-20")
    assert run(instance, resources).success
    assert len(server.bodies) == 2
    row = lake.scan("judge_agreement", {"day": [FIRST]}).collect().row(0, named=True)
    assert row["labelled"] == 2 and "called 1 judged answers good and 1 bad" in row["reason"]

import json
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.curation.curate import Curated, curate
from ft_assets.curation.duplicate_index import PUBLISHED
from ft_assets.curation.pii import still_secret
from ft_assets.curation.rules import CurationRules
from ft_assets.curation.schema import CURATED_SCHEMA
from ft_assets.ingest.landing import ingest_day
from ft_assets.ingest.schema import RAW_SCHEMA
from ft_assets.lake import Lake

DAY, NEXT_DAY = "2026-01-05", "2026-01-06"
ANSWER = "A circuit breaker, because the neighbour is slow and the caller must not wait."


def interaction(name: str, question: str = "Which pattern?", answer: str = ANSWER, **more: Any) -> dict[str, Any]:
    return {"id": name, "input_text": question, "output_text": answer, **more}


def raw(tmp_path: Path, *rows: dict[str, Any], day: str = DAY) -> pl.DataFrame:
    lake = Lake(str(tmp_path / "lake"))
    lake.land(day, "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    ingested = ingest_day(lake, day, {})
    assert len(ingested.rejections) == 0
    return ingested.rows


def one(curated: Curated) -> dict[str, Any]:
    assert curated.rejections.height == 0
    (row,) = curated.examples.to_dicts()
    return row


def adds_up(curated: Curated) -> bool:
    days = curated.counts_by_day.values()
    totals = [sum(day[name] for day in days) for name in ("rows", "examples", "rejected")]
    return totals == [totals[1] + totals[2], curated.examples.height, curated.rejections.height]


def test_what_a_correction_replaced_is_kept_masked_with_the_placeholders_of_its_row(tmp_path: Path) -> None:
    row = interaction(
        "1", "Whom do I write to: bob@example.com or eve@example.com?", "Write to eve@example.com, she knows."
    )
    example = one(
        curate(raw(tmp_path, row | {"corrected_output": "Write to bob@example.com, who owns the whole service now."}))
    )
    assert example["original_answer"] == "Write to <EMAIL_2>, she knows."
    assert example["messages"][-1]["content"] == "Write to <EMAIL_1>, who owns the whole service now."
    assert (len(example["messages"]), example["corrected"], example["high_score"]) == (2, True, True)


def test_an_answer_with_a_fault_is_kept_and_is_no_high_score_whatever_its_rating(tmp_path: Path) -> None:
    answer = "I'm sorry, but as an AI language model I cannot help with that request."
    example = one(curate(raw(tmp_path, interaction("1", answer=answer, user_feedback=5))))
    assert (example["faults"], example["high_score"]) == (["refusal"], False)
    assert example["low_score_reason"] == "fault refusal"
    without = CurationRules(faults=())
    assert one(curate(raw(tmp_path, interaction("1", answer=answer, user_feedback=5)), without))["high_score"]


def test_a_good_interaction_becomes_a_high_score_example_with_everything_about_it(tmp_path: Path) -> None:
    row = interaction(
        "1",
        timestamp="2026-01-04T23:00:00Z",
        user_id="u1",
        role="architect",
        task_type="architecture_pattern",
        reasoning_mode="cot",
        model="m1",
        domain="web",
        difficulty="easy",
        tags=["x"],
        source="ide",
        user_feedback=5,
    )
    example = one(curate(raw(tmp_path, row)))
    assert list(example) == list(CURATED_SCHEMA)
    assert [turn["content"] for turn in example["messages"]] == ["Which pattern?", ANSWER]
    assert (example["high_score"], example["quality_score"], example["low_score_reason"]) == (True, 1.0, None)
    assert example["signals"] == [{"name": "rating", "value": 5.0, "source": "user"}]
    assert (example["role"], example["task_type"], example["reasoning_mode"]) == (
        "software-architect",
        "architecture_pattern",
        "chain_of_thought",
    )
    assert (example["source"], example["source_kind"], example["model_version"]) == ("ide", "interaction", "m1")
    assert (example["user_id"], example["domain"], example["difficulty"], example["tags"]) == (
        "u1",
        "web",
        "easy",
        ["x"],
    )
    assert (example["human_verified"], example["corrected"], example["masked"]) == (False, False, [])
    assert (example["interaction_ids"], example["day"]) == (["1"], DAY)


def test_a_correction_is_the_answer_and_the_signals_about_the_original_do_not_apply(tmp_path: Path) -> None:
    row = interaction("1", answer="Both.", corrected_output=ANSWER, user_feedback=1, expert_verdict="reject")
    example = one(curate(raw(tmp_path, row)))
    assert example["messages"][-1]["content"] == ANSWER
    assert (example["high_score"], example["human_verified"], example["corrected"]) == (True, True, True)
    assert example["signals"] == [{"name": "correction", "value": 1.0, "source": "expert"}]


def test_an_example_without_a_passing_signal_stays_and_says_why(tmp_path: Path) -> None:
    rows = raw(
        tmp_path,
        interaction("1"),
        interaction("2", "Other?", user_feedback=2),
        interaction("3", "Third?", judge_score=0.3),
    )
    curated = curate(rows)
    assert curated.examples["high_score"].to_list() == [False, False, False]
    assert curated.examples["low_score_reason"].to_list() == ["no signal", "rating 2 of 5", "judge mean 0.3"]
    assert curated.counts_by_day[DAY]["low_score"] == {"no signal": 1, "rating": 1, "judge": 1}


def test_text_is_normalised_and_masked_wherever_it_stands(tmp_path: Path) -> None:
    calls = [{"function": {"name": "send", "arguments": json.dumps({"to": "eve@example.com"})}}]
    turns = [
        {"role": "user", "content": "I am bob@example.com\r\n  call me"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "sent to eve@example.com from 10.1.2.3"},
        {"role": "assistant", "content": f"Done, bob\u200b@example.com. {ANSWER}"},
    ]
    row = {
        "id": "1",
        "messages": turns,
        "context": "account of +1 415 555 0134",
        "user_id": "bob@example.com",
        "conversation_id": "bob@example.com/1",
        "source": "mail bob@example.com",
        "tags": ["bob@example.com"],
        "judge": {"asked by bob@example.com": 0.9},
    }
    curated = curate(raw(tmp_path, row))
    example = one(curated)
    assert [turn["content"] for turn in example["messages"]] == [
        "account of <PHONE_1>\n\nI am <EMAIL_1>\n  call me",
        "",
        "sent to <EMAIL_2> from <IP_1>",
        f"Done, <EMAIL_1>. {ANSWER}",
    ]
    assert "<EMAIL_2>" in example["messages"][1]["tool_calls"]
    assert example["source"] == "mail <EMAIL_1>"
    assert example["user_id"].startswith("pseudonym-")
    assert {each["kind"]: each["count"] for each in example["masked"]} == {"EMAIL": 7, "IP": 1, "PHONE": 1}
    assert curated.counts_by_day[DAY]["masked"] == {"EMAIL": 7, "IP": 1, "PHONE": 1}
    without_ids = {name: value for name, value in example.items() if not name.endswith("_id")}
    assert still_secret(json.dumps(without_ids, default=str)) == []


def test_broken_structure_is_rejected_with_place_rule_and_reason_and_no_text(tmp_path: Path) -> None:
    curated = curate(raw(tmp_path, interaction("1", answer="hunter2"), interaction("2", user_feedback=5)))
    ((stage, day, place, rule, reason),) = curated.rejections.rows()
    assert (stage, day, place, rule) == ("curation", DAY, "rows.jsonl:1", "answer_too_short")
    assert "hunter2" not in reason
    assert curated.counts_by_day[DAY]["rejected_by_rule"] == {"answer_too_short": 1}
    assert adds_up(curated)


def test_the_first_of_exact_duplicates_stays_and_takes_the_ids_of_the_others(tmp_path: Path) -> None:
    rows = raw(
        tmp_path,
        interaction("1", "Write to a@example.com", user_feedback=5),
        interaction("2", "Write to b@example.com\r\n", user_feedback=1),
        interaction("3", "Something else"),
    )
    curated = curate(rows)
    assert curated.examples["interaction_ids"].to_list() == [["1", "2"], ["3"]]
    assert curated.examples["high_score"].to_list() == [True, False]
    ((*_, place, rule, reason),) = curated.rejections.rows()
    assert (place, rule) == ("rows.jsonl:2", "exact_duplicate")
    assert "rows.jsonl:1" in reason
    assert adds_up(curated)


def test_an_example_that_another_day_holds_is_a_duplicate(tmp_path: Path) -> None:
    first = curate(raw(tmp_path, interaction("1")))
    later = raw(tmp_path, interaction("2"), day=NEXT_DAY)
    curated = curate(later, history=first.segments)
    assert curated.examples.height == 0
    assert DAY in curated.rejections["reason"][0]
    again = curate(raw(tmp_path, interaction("1")), history=first.segments)  # its own day is made anew
    assert again.examples.equals(first.examples)


def test_many_days_at_once_give_the_same_as_one_after_the_other(tmp_path: Path) -> None:
    monday = raw(tmp_path, interaction("1"), interaction("2"), interaction("3", "Third?"))
    tuesday = raw(tmp_path, interaction("4"), interaction("5", "Fifth?"), interaction("6", "Third?"), day=NEXT_DAY)
    together = curate(pl.concat([tuesday, monday]))
    first = curate(monday)
    second = curate(tuesday, history=first.segments)
    assert together.examples.equals(pl.concat([first.examples, second.examples]))
    assert together.counts_by_day == first.counts_by_day | second.counts_by_day
    assert together.rejections.equals(pl.concat([first.rejections, second.rejections]))
    assert adds_up(together)


def test_tokens_are_counted_once_for_each_new_row_and_kept(tmp_path: Path) -> None:
    counted: list[str] = []

    def count(texts: pl.Series) -> pl.Series:
        counted.extend(texts)
        return pl.Series([100 + len(counted)] * len(texts), dtype=pl.Int64)

    first = curate(raw(tmp_path, interaction("1")), count_tokens=count)
    assert len(counted) == 1
    late = interaction("2", question="Which lock is held?", answer="The one of the queue, which its worker never gave.")
    rows = raw(tmp_path, interaction("1"), late)
    again = curate(rows, published=first.examples.select(PUBLISHED), count_tokens=count)
    assert len(counted) == 2 and "Which lock" in counted[1]
    assert dict(again.examples.select(pl.col("interaction_ids").list.first(), "n_tokens").rows()) == {
        "1": 101,
        "2": 102,
    }


def test_rows_of_one_conversation_share_a_cluster(tmp_path: Path) -> None:
    rows = raw(
        tmp_path,
        interaction("1", "One?", conversation_id="c"),
        interaction("2", "Two?", conversation_id="c"),
        interaction("3", "Three?"),
        interaction("4", "THREE?", answer=f"{ANSWER} Really."),
    )
    clusters = curate(rows).examples["cluster_id"].to_list()
    assert clusters[0] == clusters[1]
    assert clusters[2] == clusters[3]
    assert len(set(clusters)) == 2


def test_thresholds_can_be_given(tmp_path: Path) -> None:
    rows = raw(tmp_path, interaction("1", answer="short", user_feedback=4))
    assert curate(rows).rejections["rule"].to_list() == ["answer_too_short"]
    assert one(curate(rows, rules=CurationRules(min_answer_chars=3, min_rating=4.5)))["high_score"] is False


def test_no_rows_give_an_empty_table() -> None:
    curated = curate(pl.DataFrame(schema=RAW_SCHEMA))
    assert curated.examples.schema == CURATED_SCHEMA
    assert (curated.examples.height, curated.rejections.height, curated.counts_by_day) == (0, 0, {})


def test_examples_survive_the_lake(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    examples = curate(raw(tmp_path, interaction("1", user_feedback=5), interaction("2", "b@example.com?"))).examples
    lake.replace("curated_examples", examples, {"day": [DAY]})
    assert lake.scan("curated_examples", {"day": [DAY]}).collect().select(examples.columns).equals(examples)

from typing import Any

import polars as pl

from ft_assets.curation.judge_items import judged_items
from ft_assets.ingest.schema import RAW_SCHEMA
from ft_assets.judge_rules import JudgeRules

DAY = "2026-01-05"


def raw(*rows: dict[str, Any]) -> pl.DataFrame:
    """Raw rows as feedback was laid over them."""
    full = [
        {"day": DAY, "source": "test", "source_kind": "interaction", "tags": [], "judge": [], **row} for row in rows
    ]
    return pl.DataFrame(full, schema=RAW_SCHEMA).with_columns(conflicting=pl.lit(False))


def row(name: str, question: str = "Why?", answer: str = "Because.", **more: Any) -> dict[str, Any]:
    turns = [("user", question), ("assistant", answer)]
    messages = [{"role": role, "content": content, "tool_calls": None} for role, content in turns]
    return {"interaction_id": name, "messages": messages, **more}


def test_text_is_masked_normalised_and_composed_before_anybody_sees_it() -> None:
    mail, key = "jane.doe@example.com", "AKIAIOSFODNN7EXAMPLE"
    asked = row("a", f"I am {mail}. Why?", f"Ask {mail}\u200b about {key}.", context=f"from the inbox of {mail}")
    item = judged_items(raw(asked), JudgeRules()).row(0, named=True)
    assert "from the inbox of <EMAIL_1>" in item["question"] and "Ask <EMAIL_1> about" in item["answer"]
    assert not {mail, key, "\u200b"} & set(item["question"] + item["answer"])
    assert "jane" not in str(item) and "AKIA" not in str(item)
    assert item["secret"] is False


def test_the_same_text_has_the_same_id_whatever_stands_beside_it() -> None:
    others = row("other", "I am bob@example.com", "Hello bob@example.com", conversation_id="c")
    here = judged_items(raw(others, row("a", "Mail x@example.com?", "No.", conversation_id="c")), JudgeRules())
    there = judged_items(raw(row("b", "Mail x@example.com?", "No.")), JudgeRules())
    assert here["content_id"][1] == there["content_id"][0] != here["content_id"][0]


def test_what_has_no_answer_is_not_judged_and_what_was_corrected_is_not_asked_about() -> None:
    unanswered = row("u")
    unanswered["messages"] = unanswered["messages"][:1]
    call = row("call", answer="")
    call["messages"][1]["tool_calls"] = '[{"name": "restart"}]'
    corrected = row("corrected", answer="The original.", corrected_output="The correction.")
    items = judged_items(raw(unanswered, row("blank", answer=" \n"), call, corrected, row("a")), JudgeRules())
    assert dict(items.select("interaction_id", "may_ask").iter_rows()) == {"call": True, "corrected": False, "a": True}
    assert items.filter(pl.col("interaction_id") == "corrected")["answer"].item() == "The original."


def test_a_larger_fraction_keeps_all_that_a_smaller_one_took() -> None:
    rows = raw(*(row(f"i{number}") for number in range(300)))
    taken = [set(judged_items(rows, JudgeRules(fraction=each))["interaction_id"]) for each in (0, 0.2, 0.5, 1)]
    assert taken[0] == set() and taken[0] < taken[1] < taken[2] < taken[3]
    assert 30 < len(taken[1]) < 90 and len(taken[3]) == 300

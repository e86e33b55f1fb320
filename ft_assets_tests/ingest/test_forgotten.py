import json
from pathlib import Path

import polars as pl
import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.forgotten_users import ForgottenUsers, UserHash, forgotten_users
from ft_assets.ingest.landing import ingest_day
from ft_assets.lake import Lake
from ft_assets.state import State
from ft_assets.state_forgotten import note

DAY, SECRET = "2026-01-01", "a secret"


def row(name: str, user: str | None) -> dict[str, object]:
    return {"interaction_id": name, "user_id": user, "input_text": "a question", "output_text": "an answer"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def forget(state: State, name: str) -> None:
    user_hash = UserHash(SECRET)
    note(state, user_hash.of_user(name), user_hash.check, "asked", {}, "somebody")


def test_nothing_is_computed_while_nobody_was_forgotten(state: State) -> None:
    assert forgotten_users(state, SECRET) is None


def test_the_users_rows_and_feedback_are_rejected_by_place_and_everybody_elses_are_taken(
    state: State, tmp_path: Path
) -> None:
    forget(state, "Ada")
    lake = Lake(str(tmp_path / "lake"))
    records = [row("1", "bea"), row("2", "aDa "), row("3", None), row("2", "cai")]
    told = [{"interaction_id": "1", "rating": 5, "user_id": "ada"}, {"interaction_id": "1", "rating": 4}]
    told += [{"interaction_id": "1", "verdict": "accept", "reviewer": "ADA"}]
    lake.land(DAY, "log.jsonl", "".join(f"{json.dumps(each)}\n" for each in [*records, *told]).encode())
    found = ingest_day(lake, DAY, forgotten=forgotten_users(state, SECRET))
    assert found.rows["interaction_id"].to_list() == ["1", "3", "2"], "a refused row does not hold an id"
    assert found.feedback["value"].to_list() == ["4"]
    assert [(each.rule, each.place) for each in found.rejections] == [
        ("user_forgotten", f"log.jsonl:{line}") for line in (2, 5, 7)
    ]
    assert found.counts["records"] == found.rows.height + found.feedback.height + len(found.rejections)


def test_late_copies_and_reviews_of_an_answer_that_was_theirs_are_refused(state: State, tmp_path: Path) -> None:
    forget(state, "Ada")
    user_hash = UserHash(SECRET)
    note(state, user_hash.of_user("Ada"), user_hash.check, "found", {"interactions": ["2"]}, "somebody")
    lake = Lake(str(tmp_path / "lake"))
    review = {"interaction_id": "2", "corrected_output": "better", "reviewer": "bea", "question": "a question"}
    records = [row("2", None), row("2", "cai"), row("3", None), review, {**review, "interaction_id": "3"}]
    lake.land(DAY, "log.jsonl", "".join(f"{json.dumps(each)}\n" for each in records).encode())
    found = ingest_day(lake, DAY, forgotten=forgotten_users(state, SECRET))
    assert found.rows["user_id"].to_list() == ["cai", None], "whoever else names an answer so has another one"
    assert found.feedback["interaction_id"].to_list() == ["3"]
    assert [each.place for each in found.rejections] == ["log.jsonl:1", "log.jsonl:4"]


def test_hashes_are_keyed_and_each_distinct_name_is_hashed_once() -> None:
    first, second = UserHash("one"), UserHash("two")
    assert first.of_user("Ada") == first.of_user(" ada") != second.of_user("ada")
    assert first.check != second.check and len(first.of("ada")) == 64
    users = ForgottenUsers(frozenset([first.of("ada")]), first)
    column = pl.Series("user_id", ["Ada", None, "ADA", "bea", "", "Ada"])
    assert sorted(users.among(column)) == ["ADA", "Ada"]


def test_a_key_that_changed_is_refused_instead_of_letting_them_back_in(state: State) -> None:
    forget(state, "Ada")
    with pytest.raises(BadConfiguration, match="1 forgotten users were hashed with another FT_ASSETS_SPLIT_KEY"):
        forgotten_users(state, "another secret")

from datetime import date, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ft_assets.errors import BadInput
from ft_assets.release.versioning import (
    KNOWN_BASE_MODELS,
    KNOWN_ROLES,
    VersionName,
    canonical_base_model,
    parse_version_name,
    version_name,
)

WORDS = st.from_regex(r"[a-z][a-z0-9]{0,4}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
DAYS = st.dates(date(2000, 1, 1), date(2999, 12, 31))


def test_the_names_of_the_specification_parse():
    first = parse_version_name("ea-software-developer-gpt4-v2.3-20250215")
    assert first == VersionName("software-developer", "gpt4", 2, 3, date(2025, 2, 15))
    assert str(first) == "ea-software-developer-gpt4-v2.3-20250215"


def test_an_alias_comes_back_as_the_canonical_role():
    parsed = parse_version_name("ea-system-architect-llama3-v1.5-20250301")
    assert parsed == VersionName("software-architect", "llama3", 1, 5, date(2025, 3, 1))


def test_a_base_model_with_hyphens_is_told_from_a_role_with_hyphens():
    assert parse_version_name("ea-qa-engineer-mistral-7b-v1.0-20260101").base_model == "mistral-7b"


@given(st.sampled_from(KNOWN_ROLES), st.sampled_from(KNOWN_BASE_MODELS), st.integers(0, 99), st.integers(1, 999), DAYS)
def test_every_name_of_a_known_line_reads_back(role: str, base: str, series: int, number: int, day: date):
    name = version_name(role, base, number, day, series)
    assert parse_version_name(name) == VersionName(role, base, series, number - 1, day)
    assert str(parse_version_name(name)) == name


@given(st.sets(WORDS, min_size=1, max_size=4), WORDS, st.integers(1, 9), DAYS)
def test_a_name_that_is_written_always_reads_back(roles: set[str], base: str, number: int, day: date):
    role = min(roles)
    try:
        name = version_name(role, base, number, day, roles=roles)
    except BadInput:
        assume(False)
    parsed = parse_version_name(name, {*KNOWN_ROLES, *roles}, {*KNOWN_BASE_MODELS, base})
    assert str(parsed) == name
    assert (parsed.minor, parsed.day) == (number - 1, day)


def test_the_minor_version_rises_with_the_number_and_the_series_leads():
    day = datetime(2026, 11, 21, 23, 59)
    names = [version_name("qa_engineer", "tiny-base", number, day, series=2) for number in (1, 2, 11)]
    assert names == [f"ea-qa-engineer-tiny-base-v2.{minor}-20261121" for minor in (0, 1, 10)]


def test_a_new_line_is_known_by_being_named():
    name = version_name("summarizer", "tiny-base", 1, date(2026, 1, 2), roles=["summarizer"])
    assert parse_version_name(name, ["summarizer"]).role == "summarizer"
    with pytest.raises(BadInput, match="no way"):
        parse_version_name(name)


def test_a_name_that_two_lines_could_have_is_refused():
    with pytest.raises(BadInput, match="2 ways"):
        version_name("qa", "fast-tiny-base", 1, date(2026, 1, 2), roles=["qa-engineer-fast", "qa"])


@pytest.mark.parametrize(
    "name",
    [
        "ea-qa-engineer-tiny-base-v1.0-20260230",
        "ea-qa-engineer-tiny-base-v1-20260101",
        "ea-qa-engineer-tiny-base-v1.0-2026-01-01",
        "ea-nobody-tiny-base-v1.0-20260101",
        "ea-qa-engineer-unknown-v1.0-20260101",
        "ea-qa-engineer-tiny-base-v١.0-20260101",
        "qa-engineer-tiny-base-v1.0-20260101",
        "",
    ],
)
def test_what_is_no_version_name_is_refused(name: str):
    with pytest.raises(BadInput):
        parse_version_name(name)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("gpt-4-0125-preview", "gpt4"),
        ("Example/Model_2.5-0.5B", "model-2.5-0.5b"),
        ("models/my base@v1/", "my-base-v1"),
    ],
)
def test_a_base_model_has_one_spelling(name: str, canonical: str):
    assert canonical_base_model(name) == canonical


def test_numbers_start_at_one():
    with pytest.raises(BadInput, match="start at 1"):
        version_name("qa-engineer", "tiny-base", 0, date(2026, 1, 1))

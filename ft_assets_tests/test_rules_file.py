from pathlib import Path

import pytest

from ft_assets.curation.rules import CurationRules
from ft_assets.errors import BadConfiguration
from ft_assets.ingest.rules import IngestRules
from ft_assets.rules_file import read_rules


def test_no_file_means_the_defaults_and_a_file_says_only_what_differs(tmp_path: Path) -> None:
    assert read_rules(None, "curation", CurationRules) == CurationRules()
    path = tmp_path / "rules.yaml"
    path.write_text(
        "ingest: {max_broken_share: 0.3}\n"
        "curation: {min_rating: 4.5, transformers: [without_thinking], validators: {least_examples: 10}}\n"
    )
    rules = read_rules(path, "curation", CurationRules)
    assert (rules.min_rating, rules.transformers, dict(rules.validators)) == (
        4.5,
        ("without_thinking",),
        {"least_examples": 10},
    )
    assert rules.filters == CurationRules().filters
    assert read_rules(path, "ingest", IngestRules).max_broken_share == 0.3
    path.write_text("")
    assert read_rules(path, "ingest", IngestRules) == IngestRules()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("curation: {min_ratng: 4}", "min_ratng"),
        ("curation: {min_rating: 9}", "min_rating"),
        ("curation: {filters: [no_such_filter]}", "no_such_filter.*allowed: ends_without_answer"),
        ("curation: [4]", "curation"),
        ("- a list", "hold a list"),
        (
            "min_rating: 4",
            r"the keys \['min_rating'\]; wanted: the sections ingest and curation and judge and preferences and review",
        ),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_key_and_what_is_allowed(
    tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(content)
    with pytest.raises(BadConfiguration, match=says) as refusal:
        read_rules(path, "curation", CurationRules)
    assert str(path) in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="FT_ASSETS_RULES"):
        read_rules(tmp_path / "absent.yaml", "curation", CurationRules)

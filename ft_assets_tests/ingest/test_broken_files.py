import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ft_assets.ingest.rules import IngestRules
from ft_assets_tests.ingest.reading import read_day, rules_broken


def lines(good: int, broken: int = 0) -> bytes:
    """Good records with the broken ones behind the first of them."""
    records = [json.dumps({"id": str(number), "input": "q", "output": f"a{number}"}).encode() for number in range(good)]
    return b"\n".join([*records[:1], *[b'{"input": "q", "outp'] * broken, *records[1:]]) + b"\n"


def test_a_broken_line_in_the_middle_is_one_rejection() -> None:
    day = read_day("a.jsonl", lines(200, broken=1))
    assert (day.rows.height, rules_broken(day)) == (200, [("a.jsonl:2", "not_json")])


def test_above_the_rate_nothing_of_the_file_is_used_and_every_record_is_accounted_for() -> None:
    day = read_day("a.jsonl", lines(80, broken=20))
    assert day.rows.height == 0
    assert day.counts["rejected_by_rule"] == {"file_too_broken": 100}
    assert [rejection.place for rejection in day.rejections] == [f"a.jsonl:{number}" for number in range(1, 101)]
    for found in ("20 of the file's 100 records", "max_broken_share 0.1"):
        assert found in day.rejections[0].reason
    assert "not_json" in day.rejections[1].reason
    assert "not_json" not in day.rejections[0].reason


@pytest.mark.parametrize(
    ("good", "broken", "rules", "is_used"),
    [
        (90, 10, None, True),  # exactly the share
        (89, 11, None, False),
        (9, 9, None, True),  # too few to say anything
        (10, 10, None, False),
        (80, 20, IngestRules(max_broken_share=0.5), True),
        (9, 2, IngestRules(least_broken_lines=2), False),
        (0, 30, IngestRules(max_broken_share=1.0), True),
    ],
)
def test_the_share_and_the_least_number_are_knobs(
    good: int, broken: int, rules: IngestRules | None, is_used: bool
) -> None:
    day = read_day("a.jsonl", lines(good, broken), rules)
    assert ("file_too_broken" not in day.counts["rejected_by_rule"]) is is_used
    assert day.rows.height == (good if is_used else 0)


def test_a_torn_last_line_never_stops_a_file_and_neither_does_a_record_of_an_unknown_format() -> None:
    torn = read_day("a.jsonl", lines(1) + b'{"inp', IngestRules(max_broken_share=0, least_broken_lines=1))
    assert rules_broken(torn) == [("a.jsonl:2", "torn_last_line")]
    unknown = read_day("a.jsonl", lines(1) + b'{"nobody": "knows"}\n' * 50)
    assert unknown.rows.height == 1


def test_a_broken_csv_file_stops_as_well() -> None:
    day = read_day("a.csv", b"input,output\n" + b"q,a,extra\n" * 20 + b"q,a\n")
    assert day.counts["rejected_by_rule"] == {"file_too_broken": 21}


def test_a_cut_off_gzip_file_is_not_a_broken_one() -> None:
    many = "".join(
        json.dumps({"id": str(n), "input": hex(n * 7919), "output": "a"}) + "\n" for n in range(3000)
    ).encode()
    packed = gzip.compress(many)
    day = read_day("a.jsonl.gz", packed[: len(packed) // 2])
    assert [rule for _, rule in rules_broken(day)] == ["torn_last_line", "damaged_gzip"]
    assert day.rows.height > 100


def test_an_impossible_rule_is_refused() -> None:
    with pytest.raises(ValidationError):
        IngestRules(max_broken_share=1.5)
    with pytest.raises(ValidationError):
        IngestRules(max_broken=1)  # type: ignore[call-arg]


RECORDS = st.sampled_from(
    [
        {"input": "q", "output": "a"},
        {"id": "1", "input": "q", "output": "a"},
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
        {"interaction_id": "1", "rating": 4, "verdict": "accept"},
        {"interaction_id": "1", "rating": 9},
        {"examples": [{"messages": [{"role": "user", "content": "q"}]}, 3, {"input": "q", "output": "c"}]},
        {"examples": []},
        {"nobody": "knows"},
        [],
        None,
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(RECORDS | st.just(b'{"input": "q", "outp'), max_size=30),
    name=st.sampled_from(["a.jsonl", "a.json", "a.jsonl.gz"]),
    share=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_the_reader_counts_every_record_of_a_mixed_file_and_every_one_comes_out(
    records: list[object], name: str, share: float
) -> None:
    written = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    body = b"\n".join([*written, b'{"input": "x", "output": "y"}']) + b"\n"  # never one document alone
    content = gzip.compress(body) if name.endswith(".gz") else body
    day = read_day(name, content, IngestRules(max_broken_share=share, least_broken_lines=3))
    if name != "a.json":
        assert day.counts["records"] == len(written) + 1

import json

import pytest

from ft_assets.errors import BadInput
from ft_assets.evaluation.items import Expected
from ft_assets.evaluation.measures.json_metrics import JSON_MATCHES_SCHEMA, JSON_VALID
from ft_assets_tests.evaluation.samples import answered

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "at": {"type": "array", "items": {"type": "number"}, "minItems": 2}},
    "required": ["city"],
    "additionalProperties": False,
}


def won(metric, answer: str, reference: str = '{"city": "Oslo"}', schema: object = None) -> float | None:
    expected = Expected(json_schema=json.dumps(schema) if schema is not None else None)
    (points,) = metric.points([answered("a", answer, reference, expected=expected)])
    return None if points is None else points.won


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"city": "Oslo"}', 1.0),
        ("[]", 1.0),
        (' \n{"city": "Größe 東京"} ', 1.0),
        ('```json\n{"city": "Oslo"}\n```', 1.0),
        ('Here you are:\n```\n{"city": "Oslo"}\n```\nAnything else?', 1.0),
        ("```json\n{}\n```\nor\n```json\n{}\n```", 0.0),  # nobody can tell which is meant
        ('Here: {"city": "Oslo"}', 0.0),
        ("```python\n{}\n```", 0.0),
        ('{"city": "Oslo",}', 0.0),
        ("{'city': 'Oslo'}", 0.0),
        ('{"city": NaN}', 0.0),
        ('{"city": 1, "city": 2}', 0.0),
        ('{"city": "Oslo"', 0.0),
        ("5", 0.0),
        ("", 0.0),
        ("[" * 100_000, 0.0),
        ('{"n": ' + "9" * 5_000 + "}", 0.0),  # more digits than Python reads
    ],
)
def test_what_counts_as_json(answer: str, valid: float):
    assert won(JSON_VALID, answer) == valid


def test_without_a_schema_or_a_reference_of_json_nothing_has_to_be_json():
    assert won(JSON_VALID, "{}", reference="Oslo") is None
    assert won(JSON_VALID, "{}", reference="5") is None
    assert won(JSON_MATCHES_SCHEMA, "{}") is None
    assert won(JSON_VALID, "5", reference="five", schema={"type": "number"}) == 1.0


@pytest.mark.parametrize(
    ("answer", "matches"),
    [
        ('{"city": "Oslo"}', 1.0),
        ('```json\n{"city": "Oslo", "at": [59.9, 10.7]}\n```', 1.0),
        ('{"city": 5}', 0.0),
        ('{"at": [1, 2]}', 0.0),
        ('{"city": "Oslo", "at": [1]}', 0.0),
        ('{"city": "Oslo", "more": 1}', 0.0),
        ("Oslo", 0.0),
        ("", 0.0),
    ],
)
def test_what_matches_a_schema(answer: str, matches: float):
    assert won(JSON_MATCHES_SCHEMA, answer, schema=SCHEMA) == matches


@pytest.mark.parametrize(
    "schema", [{"type": "nothing"}, {"$ref": "#/$defs/absent"}, {"$ref": "http://127.0.0.1:9/schema.json"}, [1]]
)
def test_a_schema_that_cannot_be_used_is_an_error_that_names_the_row(schema: object):
    with pytest.raises(BadInput, match="eval row a cannot be used"):
        won(JSON_MATCHES_SCHEMA, "{}", schema=schema)


def test_an_answer_without_end_under_a_schema_that_follows_it_does_not_match():
    deep = '{"next": ' * 800 + "{}" + "}" * 800
    assert won(JSON_MATCHES_SCHEMA, deep, schema={"properties": {"next": {"$ref": "#"}}}) == 0.0

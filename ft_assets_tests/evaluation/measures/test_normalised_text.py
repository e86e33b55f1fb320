import pytest

from ft_assets.evaluation.measures.normalised_text import is_verbatim, normalised, same_text


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("The  Cat,\n sat.", "cat sat"),
        ("**Paris**", "paris"),
        ("Ｐａｒｉｓ\u00a0１２", "paris 12"),
        ("STRASSE", normalised("Straße")),
        ("cafe\u0301", "café"),
        ("$6,000.00", "6000"),
        ("25%", "25"),
        ("\u22125", "-5"),
        ("(-5)", "-5"),
        ("3.10", "3.10"),
        ("1/2", "1/2"),
        ("C#", "c#"),
        ("c++", "c++"),
        ("snake_case", "snake_case"),
        ("friend\u2019s house", "friend's house"),
        ("A", "a"),
        ("vitamin A", "vitamin a"),
        ("an apple", "apple"),
        ("東京。", "東京"),
        ("...", ""),
        ("", ""),
    ],
)
def test_the_five_steps_give_one_spelling(text: str, spelling: str):
    assert normalised(text) == spelling


@pytest.mark.parametrize(
    ("one", "other"),
    [("5", "-5"), ("12", "1/2"), ("35", "3.5"), ("3.1", "3.10"), ("C", "C#"), ("well known", "wellknown"), ("a", "b")],
)
def test_what_means_something_else_stays_apart(one: str, other: str):
    assert normalised(one) != normalised(other)


def test_texts_without_words_are_compared_as_they_are():
    assert same_text(" -> ", "->", verbatim=False)
    assert not same_text("=>", "->", verbatim=False)
    assert not same_text("", "->", verbatim=False)
    assert same_text(" ", "", verbatim=False)


@pytest.mark.parametrize(
    ("task", "reference", "verbatim"),
    [
        ("code_generation", "return A", True),
        ("question_answering", "Paris", False),
        ("chat", "Here:\n```python\nA\n```", True),
        ("chat", '<tool_call>\n{"name": "f"}\n</tool_call>', True),
        ("extraction", '{"city": "Paris"}', True),
        ("chat", "[1] is a footnote", False),
        ("chat", "5", False),
    ],
)
def test_case_and_punctuation_count_in_code_calls_and_json(task: str, reference: str, verbatim: bool):
    assert is_verbatim(task, reference) is verbatim

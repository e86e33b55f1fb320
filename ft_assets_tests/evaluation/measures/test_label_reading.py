import time

import pytest

from ft_assets.evaluation.measures.label_reading import Choice, read_choice

SENTIMENT = ("positive", "negative", "neutral")
LETTERS = ("A", "B", "C", "D")
CALLS = ("call", "no_call")
ANSWERS = ("Yes", "No")
OPTIONS = (Choice("increased energy", "A"), Choice("healthier", "B"), Choice("loose skin", "C"))


def read(answer: str, labels: tuple[str, ...]) -> str | None:
    choices = [Choice(label, label if len(label) == 1 else None) for label in labels]
    place = read_choice(answer, choices)
    return None if place is None else labels[place]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Positive.", "positive"),
        ("POSITIVE", "positive"),
        (" positive\n", "positive"),
        ("Ｐｏｓｉｔｉｖｅ", "positive"),
        ('"positive"', "positive"),
        ("**Negative**", "negative"),
        ('{"label": "positive"}', "positive"),
        ("label=negative", "negative"),
        ("Label: neutral", "neutral"),
        ("The sentiment is Positive.", "positive"),
        ("The answer is: positive\nBecause it praises.", "positive"),
        ("I think it's a negative review", "negative"),
        ("It is not positive, it is negative.", "negative"),
        ("neither positive nor negative, but neutral", "neutral"),
        ("Some parts are positive and some negative.\nOverall: negative", "negative"),
        ("positive or negative", None),
        ("This is more positive than negative", None),
        ("Negative reviews are common, but this one is positive.", None),  # two are named and neither is marked
        ("not positive", None),
        ("It isn't negative.", None),
        ("positively", None),
        ("positiv", None),
        ("", None),
        ("...", None),
    ],
)
def test_labels_are_read_out_of_words(answer: str, label: str | None):
    assert read(answer, SENTIMENT) == label


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("**D**", "D"),
        ("B) because", "B"),
        ("B is correct.", "B"),
        ("The answer is B", "B"),
        ("The answer is **B**.", "B"),
        ("The correct answer is (A).", "A"),
        ("Answer:\nB", "B"),
        ("Answer: (C) loose skin", "C"),
        ("$\\boxed{C}$", "C"),
        ("option b", "B"),
        ("I think A is wrong and so it is C.", "C"),
        ("<think>B looks right, or D?</think>A", "A"),
        ("<think>B, or", None),
        ("A dog is best", None),
        ("The answer is a dog", None),
        ("answer is not B", None),
        ("It could be B or C", None),
        ("E", None),
        ("", None),
    ],
)
def test_letters_are_read_as_letters_and_not_as_words(answer: str, letter: str | None):
    assert read(answer, LETTERS) == letter


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("No call.", "no_call"),
        ("no-call", "no_call"),
        ("There is no call to make", "no_call"),
        ("`call`", "call"),
        ("I would call it", "call"),
        ("Reply: call", "call"),
    ],
)
def test_of_labels_inside_of_each_other_the_longest_is_read(answer: str, label: str):
    assert read(answer, CALLS) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Yes.", "Yes"),
        ("No, they don't mean the same", "No"),
        ("No because they differ, yes?", "No"),
        ("The sentences mean the same: yes", "Yes"),
        ("yes and no", None),
        ("They do not", None),
        ("Not sure", None),
    ],
)
def test_yes_and_no_are_labels_and_not_denials(answer: str, label: str | None):
    assert read(answer, ANSWERS) == label


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("B", 1),
        ("healthier", 1),
        ("B. healthier", 1),
        ("The answer is healthier", 1),
        ("Increased energy!", 0),
        ("D", None),
    ],
)
def test_an_option_is_named_by_its_letter_or_its_words(answer: str, place: int | None):
    assert read_choice(answer, OPTIONS) == place


@pytest.mark.parametrize("unit", [".", " ", "\n", "(", "-", "A", "1", "answer is ", "**", "a "])
def test_an_answer_that_repeats_itself_for_ever_is_read_in_no_time(unit: str):
    started = time.process_time()
    read(unit * (20_000 // len(unit)), LETTERS)
    read(unit * (20_000 // len(unit)), SENTIMENT)
    assert time.process_time() - started < 1

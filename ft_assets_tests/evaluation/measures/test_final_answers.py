import pytest

from ft_assets.evaluation.measures.final_answers import same_final_answer


@pytest.mark.parametrize(
    "answer",
    [
        "150",
        "$150",
        "150.00",
        "150 dollars",
        "150km",
        "The answer is 150.",
        "5 mani/pedis cost 5 * 30 = $150",
        "40*.25 = <<40*.25=10.00>>10\n5*30 = 150\n#### 150",
        "\\boxed{150}",
        "A: 150",
        "The answer is 150 because 5 * 30 is 150, not 200",
        "Answer: 5 * 30 = 150",
        "１５０",
        "1.5e2",
        "300/2",
    ],
)
def test_a_number_is_found_at_the_end_of_a_solution_and_compared_by_value(answer: str):
    assert same_final_answer(answer, "150")


@pytest.mark.parametrize(
    "answer", ["15", "1500", "-150", "It was 150 before, and is 20 now", "1.2.150", "v150", "", "none"]
)
def test_another_number_is_wrong(answer: str):
    assert not same_final_answer(answer, "150")


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("6000", "6,000", True),
        ("Each class is 30 pupils, so 5 classes are 150", "150", True),
        ("The answer to the question of the salon is 150, not 30.", "150", True),
        ("The answer to this is Paris.", "paris", True),
        ("A: Paris is the capital", "Paris", False),
        ("−5", "-5", True),
        ("5", "-5", False),
        ("0.5", "1/2", True),
        ("1.50", "1.5", True),
        ("9" * 5_000, "1", False),
        ("1" * 5_000, "1" * 5_000, True),
        ("lower", "lower.", True),
        ("Lower. There are more predators.", "lower.", True),
        ("lower, because there are more predators", "lower", True),
        ("higher\n\nBecause predators are lower", "higher", True),
        ("first\nless", "less", True),
        ("more or less", "less", False),
        ("The ruler.", "a ruler", True),
        ("Größe", "GRÖSSE", True),
        ("cafe\u0301", "café", True),
        ("C", "C#", False),
        ("2024-01-05", "2024-01-05", True),
        ("anything", "", False),
    ],
)
def test_short_answers_are_right_when_they_end_up_saying_the_reference(answer: str, reference: str, right: bool):
    assert same_final_answer(answer, reference) is right

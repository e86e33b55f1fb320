import json
import random
from pathlib import Path

import pytest

import ft_assets
from ft_assets.evaluation.items import Expected
from ft_assets.evaluation.measures.classification_metrics import MACRO_F1
from ft_assets.evaluation.measures.text_metrics import ACCURACY, EXACT_MATCH
from ft_assets.evaluation.metric import Answered
from ft_assets_tests.evaluation.samples import answered

REAL = Path(ft_assets.__file__).parents[2] / "shared" / "data"
FILES = {
    "classification_paws": "classification",
    "classification_tool_relevance": "classification",
    "gsm8k_io": "math",
    "qa_commonsense": "question_answering",
    "qa_cosmos": "question_answering",
    "qa_qasc": "question_answering",
    "qa_quartz": "question_answering",
    "qa_ropes": "question_answering",
}


def accuracy(*rows: Answered) -> list[float | None]:
    return [None if points is None else points.won / points.possible for points in ACCURACY.points(rows)]


def asked(answer: str, reference: str, prompt: str = "?", task: str = "question_answering", **fields) -> Answered:
    return answered("a", answer, reference, prompt=prompt, task_type=task, **fields)


def test_labels_of_an_item_are_its_closed_set_whatever_its_task():
    labels = Expected(labels=("positive", "negative"))
    said = ("I would say positive.", "Negative", "positive and negative", "")
    rows = [answered(str(at), answer, "positive", task_type="chat", expected=labels) for at, answer in enumerate(said)]
    assert accuracy(*rows) == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "prompt",
    [
        "Which?\nOptions:\n- increased energy\n- healthier\n - death",
        "Which?\nA) increased energy\nB) healthier\nC) death",
        "Which? (A) increased energy (B) healthier (C) death",
    ],
)
def test_the_options_of_a_question_are_its_closed_set(prompt: str):
    assert accuracy(asked("I pick healthier for it fits best", "healthier", prompt)) == [1.0]
    assert accuracy(asked("healthier than increased energy", "healthier", prompt)) == [0.0]
    by_letter = [1.0] if ")" in prompt else [0.0]  # an option without a letter cannot be named by one
    assert accuracy(asked("B", "healthier", prompt)) == by_letter


def test_a_letter_and_its_option_are_the_same_answer_in_both_directions():
    prompt = "Which?\nA. red\nB. blue\nC. green"
    assert accuracy(asked("blue", "B", prompt), asked("The answer is B", "B", prompt)) == [1.0, 1.0]
    assert accuracy(asked("B. blue", "blue", prompt), asked("A", "blue", prompt)) == [1.0, 0.0]


def test_a_list_in_a_question_that_is_no_list_of_options_is_none():
    assert accuracy(asked("Paris", "Paris", "Facts:\n- Rome is old\n- Paris is in France\nWhat is in France?")) == [1.0]


def test_yes_no_and_letters_are_known_without_a_list():
    assert accuracy(asked("Yes, they do.", "Yes"), asked("The answer is B", "B"), asked("False!", "true")) == [1, 1, 0]


def test_the_labels_of_a_classification_are_its_references_where_they_are_few():
    references = ["billing", "login"] * 4
    said = ["It is about billing", "login", "The category is login", "a login problem", "", "?", "billing", "billing"]
    rows = [
        answered(str(at), answer, reference, task_type="classification")
        for at, (answer, reference) in enumerate(zip(said, references, strict=True))
    ]
    assert accuracy(*rows) == [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]


def test_a_worked_solution_is_compared_by_its_final_answer():
    assert accuracy(asked("#### 12", "3 * 4 = 12\n#### 12", task="math"), asked("13", "so\nA: 12", task="math")) == [
        1,
        0,
    ]


def test_free_text_and_empty_references_have_no_closed_answer():
    assert accuracy(asked("x", "word " * 40), asked("x", ""), asked("x", "x", task="summarization")) == [None] * 3


@pytest.mark.slow
def test_macro_f1_counts_rare_labels_like_common_ones():
    references = ["a b"] * 8 + ["c d"] * 2
    rows = [answered(str(at), "a b", reference, task_type="classification") for at, reference in enumerate(references)]
    assert MACRO_F1.of_group(rows) == pytest.approx((2 * 8 / (2 * 8 + 2) + 0) / 2)
    assert [points.won for points in MACRO_F1.points(rows)] == [1.0] * 8 + [0.0] * 2


@pytest.mark.slow
def test_an_answer_that_names_no_label_is_missed_and_is_no_label_of_its_own():
    labels = Expected(labels=("yes", "no"))
    rows = [answered(str(at), answer, "yes", expected=labels) for at, answer in enumerate(("yes", "hm"))]
    assert MACRO_F1.of_group(rows) == pytest.approx(2 * 1 / (2 * 1 + 1))
    assert MACRO_F1.of_group([answered("a", "x", "free text")]) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.skipif(not REAL.is_dir(), reason="the real data files are not on this machine")
def test_on_real_files_right_answers_score_1_in_every_wording_and_wrong_ones_next_to_nothing(name: str):
    rows = [json.loads(line) for line in (REAL / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()][:200]
    references = [row["output"] for row in rows]
    shuffled = random.Random(1).sample(references, len(references))

    def figure(metric, answers: list[str]) -> float:
        asked = [
            answered(str(at), answer, row["output"], prompt=row["input"], task_type=FILES[name])
            for at, (answer, row) in enumerate(zip(answers, rows, strict=True))
        ]
        return metric.figure(metric.points(asked))

    for wording in ("{}", " {}\n", "**{}**", "Answer: {}", "Let me think.\n\nThe final answer is {}", "{}, because."):
        assert figure(ACCURACY, [wording.format(reference) for reference in references]) == 1.0, wording
    assert figure(EXACT_MATCH, [reference.upper() for reference in references]) == 1.0
    by_chance = sum(one == other for one, other in zip(shuffled, references, strict=True)) / len(rows)
    assert figure(ACCURACY, shuffled) == pytest.approx(by_chance, abs=0.02)
    assert figure(ACCURACY, [""] * len(rows)) == 0.0
    assert figure(ACCURACY, [row["input"] for row in rows]) < 0.35  # saying the question again answers nothing


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real data files are not on this machine")
def test_of_600_real_solutions_exactly_those_count_as_right_that_their_source_calls_correct():
    rows, facts = (
        [json.loads(line) for line in (REAL / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("interactions", "interactions_provenance")
    )
    asked, correct = [], []
    for row, fact in zip(rows, facts, strict=True):
        if fact["raw_rating_kind"].startswith("automatic final-answer check"):
            truth = fact["ground_truth"]
            asked.append(answered(row["id"], row["output_text"], truth, prompt=row["input_text"], task_type="math"))
            correct.append(float(fact["raw_rating"]))
    assert (len(correct), sum(correct)) == (600, 233)
    assert [points.won for points in ACCURACY.points(asked)] == correct

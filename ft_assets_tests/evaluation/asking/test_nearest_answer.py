"""The training answer of the nearest prompt, and the nearest examples in a prompt: never a held-out row."""

from dataclasses import dataclass

import pytest

from ft_assets.errors import MissingInput
from ft_assets.evaluation.answers import answers_to
from ft_assets.evaluation.asking.backend import Question
from ft_assets.evaluation.asking.nearest_answer import NearestAnswer
from ft_assets.evaluation.asking.nearest_prompts import NearestPrompts
from ft_assets.evaluation.asking.retrieved_examples import with_examples
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.suites import suite_of
from ft_assets.lake import Lake
from ft_assets.records import Message
from ft_assets_tests.evaluation.samples import item

pytestmark = pytest.mark.slow  # scikit-learn takes seconds to import


@dataclass(frozen=True)
class Learned:
    example_id: str
    messages: tuple[Message, ...]


def learned(example_id: str, question: str, answer: str, **fields: str) -> Learned:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer, **fields))
    return Learned(example_id, messages)


TRAIN = [
    learned("e3", "Write a commit message for the new cache", "Add the cache"),
    learned("e1", "Write a commit message for the old parser", "Remove the parser"),
    learned("e2", "Which component failed in this log line", "component: disk"),
]


def near(question: str, train: list[Learned] = TRAIN, held_out: list[EvalItem] | None = None) -> list[str]:
    prompts = NearestPrompts(train, "s" * 64, held_out or [])
    return [found.row.example_id for found in prompts.nearest([item("q", question)], 3)[0]]


def test_the_nearest_prompt_is_the_one_with_the_same_telling_words() -> None:
    assert near("Which component failed here")[0] == "e2"
    assert near("Write a commit message for the cache") == ["e3", "e1", "e2"]


def test_similarity_is_between_0_and_1_and_1_for_the_same_words() -> None:
    [found] = NearestPrompts(TRAIN, "s" * 64, []).nearest([item("q", TRAIN[0].messages[0].content.upper())], 3)
    assert found[0].similarity == pytest.approx(1.0) and found[0].row.example_id == "e3"
    assert all(0 <= one.similarity <= 1 for one in found) and found[2].similarity < 0.3


def test_of_equally_near_rows_the_smaller_id_is_taken_in_any_order_of_the_rows() -> None:
    same = [learned(f"e{i}", "Say it again", f"answer {i}") for i in range(5)]
    assert near("Say it again", same) == near("Say it again", same[::-1]) == ["e0", "e1", "e2"]
    assert near("quite other words", TRAIN) == ["e1", "e2", "e3"]


def test_prompts_without_a_word_are_compared_by_their_signs() -> None:
    signs = [learned("e1", "???", "a"), learned("e2", "+++", "b"), learned("e3", "", "c")]
    assert near("++", signs)[0] == "e2"


def test_what_is_known_of_the_rows_is_all_that_counts_not_the_questions_beside_it() -> None:
    asked = [item("q1", "Write a commit message"), item("q2", "Which component")]
    prompts = NearestPrompts(TRAIN, "s" * 64, asked)
    together = [found[0].row.example_id for found in prompts.nearest(asked * 50, 1)]
    assert together == [prompts.nearest([one], 1)[0][0].row.example_id for one in asked] * 50


def test_a_training_row_that_is_held_out_by_id_or_by_what_it_says_is_never_used() -> None:
    same_text = item("golden", "write a commit message   for the NEW cache", "Add the cache")
    same_id = item("e1", "Something else", "else")
    assert near("Write a commit message for the cache", held_out=[same_text, same_id]) == ["e2"]
    prompts = NearestPrompts(TRAIN, "s" * 64, [same_text, same_id])
    assert prompts.left_out == ["e1", "e3"]
    assert prompts.digest != NearestPrompts(TRAIN, "s" * 64, []).digest
    with pytest.raises(MissingInput, match="no train row that is not held out"):
        NearestPrompts(TRAIN[:1], "s" * 64, [same_text])


def test_its_answers_are_predictions_without_likelihood_or_time(tmp_path: object) -> None:
    prompts = NearestPrompts(TRAIN, "s" * 64, [])
    backend = NearestAnswer(prompts, lambda text: len(text.split()))
    asked = [item("q1", "Which component failed"), item("q2", "A commit message for the parser")]
    said = answers_to(Lake(str(tmp_path)), backend, asked, "Be brief.")
    assert [(one.answer, one.n_tokens) for one in said.predictions] == [
        ("component: disk", 2),
        ("Remove the parser", 3),
    ]
    assert {(one.seconds, one.answer_nll, one.cut_off, one.model_digest) for one in said.predictions} == {
        (0.0, None, False, prompts.digest)
    }


def test_a_learned_tool_call_is_answered_as_a_reference_writes_it() -> None:
    call = '[{"name": "restart", "arguments": {"queue": "mail"}}]'
    backend = NearestAnswer(NearestPrompts([learned("e", "Hangs", "", tool_calls=call)], "s" * 64, []), len)
    asked = item("q", "It hangs", "", tool_calls=call)
    [batch] = backend.batches([Question(asked, None, "d")])
    assert batch.predictions[0].answer == asked.reference


class TestExamplesInThePrompt:
    suite = suite_of(
        "golden set", "golden", [item("q", "Write a commit message for the cache", "Cache it")], "Be brief."
    )
    prompts = NearestPrompts(TRAIN, "s" * 64, [])

    def asked(self, fits: object = lambda question: True, examples: int = 2) -> EvalItem:
        [found] = with_examples(self.suite, self.prompts, fits, examples).items
        return found

    def test_the_nearest_example_stands_last_before_the_question(self) -> None:
        turns = [message.content for message in self.asked().messages]
        assert turns[:4] == [
            *("Write a commit message for the old parser", "Remove the parser"),
            *("Write a commit message for the new cache", "Add the cache"),
        ]
        assert turns[4:] == ["Write a commit message for the cache", "Cache it"]

    def test_the_question_stays_the_same_row_with_another_prompt(self) -> None:
        found, [plain] = with_examples(self.suite, self.prompts, lambda question: True), self.suite.items
        assert (found.name, found.kind, found.system_prompt) == ("golden set", "golden", "Be brief.")
        assert found.digest != self.suite.digest
        assert (found.items[0].row_id, found.items[0].reference) == (plain.row_id, plain.reference)

    def test_the_farthest_example_goes_first_where_the_prompt_is_too_long(self) -> None:
        shown = self.asked(lambda question: len(question.item.messages) <= 4, examples=3)
        assert [message.content for message in shown.messages][:2] == [
            "Write a commit message for the new cache",
            "Add the cache",
        ]
        assert self.asked(lambda question: False) == self.suite.items[0]

    def test_a_system_turn_of_the_row_stays_first_and_those_of_examples_go(self) -> None:
        own, theirs = Message(role="system", content="Own."), Message(role="system", content="Theirs.")
        [plain] = self.suite.items
        suite = suite_of("s", "own", [EvalItem("q", "c", "t", "s", (own, *plain.messages))], None)
        prompts = NearestPrompts([Learned("e", (theirs, *TRAIN[0].messages))], "s" * 64, [])
        [found] = with_examples(suite, prompts, lambda question: True, 3).items
        assert [message.content for message in found.messages if message.role == "system"] == ["Own."]
        assert found.messages[0] == own and len(found.messages) == 5

"""One model over several suites: figures by suite, their aggregate, and what is not evaluated."""

import math
from pathlib import Path

import pytest

from ft_assets.errors import BadInput, EvaluationIncomplete, MissingInput
from ft_assets.evaluation.answers import answers_to
from ft_assets.evaluation.asking.backend import differing
from ft_assets.evaluation.asking.batch_disagreement import batch_disagreement
from ft_assets.evaluation.asking.interleaved_seconds import interleaved_seconds
from ft_assets.evaluation.asking.model_to_ask import model_in_lake
from ft_assets.evaluation.evaluate import Evaluation, evaluate_model
from ft_assets.evaluation.metric import Metric, Points, each
from ft_assets.evaluation.suites import Suite, suite_of
from ft_assets.lake import Lake
from ft_assets_tests.evaluation.plain_backend import Moody, PlainBackend
from ft_assets_tests.evaluation.samples import item

RIGHT = Metric("right", "rate", True, each(lambda item, said: Points(said.answer == item.reference, 1)))
SURPRISE = Metric("surprise", "perplexity", False, each(lambda item, said: Points(len(said.answer), 1)))
ABSENT = Metric("absent", "rate", True, each(lambda item, said: None))
MOST = Metric("most", "count", True, RIGHT.points, of_group=lambda rows: float(max(len(r.item.row_id) for r in rows)))


def suite(name: str, rows: int, right: int) -> Suite:
    items = [item(f"{name}{i:02d}", f"Say word{i}", f"word{i}" if i < right else "other") for i in range(rows)]
    return suite_of(name, "own", items, None)


def evaluated(folder: Path, *suites: Suite, backend: PlainBackend | None = None) -> Evaluation:
    metrics = [RIGHT, SURPRISE, ABSENT, MOST]
    return evaluate_model("m", suites, metrics, lake=Lake(str(folder)), backend=backend or PlainBackend())


def test_every_suite_counts_alike_in_the_aggregate(tmp_path: Path) -> None:
    found = evaluated(tmp_path, suite("a", 10, 5), suite("bcd", 4, 4))
    assert [found.suites[name].figures["right"] for name in ("a", "bcd")] == [0.5, 1.0]
    assert found.aggregate["right"] == 0.75
    assert found.aggregate["surprise"] == pytest.approx(math.exp(5))  # word0 and the like: five letters everywhere
    assert found.aggregate["most"] == (3 + 5) / 2
    assert "absent" not in found.aggregate and found.suites["a"].figures["absent"] is None
    assert found.not_evaluated == {}


def test_points_stand_beside_the_predictions(tmp_path: Path) -> None:
    result = evaluated(tmp_path, suite("a", 3, 1)).suites["a"]
    assert [one.row_id for one in result.answers.predictions] == ["a00", "a01", "a02"]
    assert result.points["right"] == [Points(1, 1), Points(0, 1), Points(0, 1)]


def test_a_suite_that_is_not_covered_has_no_figures_and_there_is_no_aggregate(tmp_path: Path) -> None:
    found = evaluated(tmp_path, suite("a", 10, 5), suite("b", 4, 4), backend=PlainBackend(unanswerable=["a07"]))
    assert found.suites["a"].figures == dict.fromkeys(["right", "surprise", "absent", "most"])
    assert found.suites["b"].figures["right"] == 1.0
    assert found.aggregate == {} and list(found.not_evaluated) == ["a"]


def test_an_evaluation_done_before_asks_nobody(tmp_path: Path) -> None:
    evaluated(tmp_path, suite("a", 10, 5))
    backend, seen = PlainBackend(), []
    suites = [suite("a", 10, 5), suite("b", 2, 2)]
    lake = Lake(str(tmp_path))
    evaluate_model("m", suites, [RIGHT], lake=lake, backend=backend, on_progress=lambda *told: seen.append(told))
    assert backend.asked == [] and seen == []  # both suites say the same: their rows are one question each


def test_wrong_names_and_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Several suites have the name 'a'"):
        evaluated(tmp_path, suite("a", 1, 1), suite("a", 1, 1))
    with pytest.raises(BadInput, match="The backend asks the model other"):
        evaluated(tmp_path, suite("a", 1, 1), backend=PlainBackend("other"))
    with pytest.raises(MissingInput, match="no adapter and no base model"):
        model_in_lake(Lake(str(tmp_path)), "f" * 64)


def test_rows_that_are_answered_otherwise_alone_are_named(tmp_path: Path) -> None:
    items = list(suite("a", 30, 30).items)
    for backend, differ in ((PlainBackend(), 0), (Moody(), 8)):
        said = answers_to(Lake(str(tmp_path / str(differ))), backend, items, None).predictions
        found = batch_disagreement(backend, items, None, said, sample_rows=8)
        assert (found.rows, len(found.differing), found.largest_nll_gap) == (8, differ, None)


def test_times_are_taken_in_turns_of_the_same_rows() -> None:
    turns: list[str] = []

    class Clocked(PlainBackend):
        def said(self, question):
            turns.append(self.model_digest)
            return super().said(question)

    sides = {"candidate": Clocked("A"), "champion": Clocked("B")}
    seconds = interleaved_seconds(sides, list(suite("a", 30, 30).items), None, sample_rows=4)
    assert "".join(turns) == "AB" + "ABBAABBA"
    assert list(seconds["candidate"]) == list(seconds["champion"]) and len(seconds["candidate"]) == 4


def test_a_side_that_cannot_answer_has_no_time() -> None:
    sides = {"candidate": PlainBackend(), "champion": PlainBackend(unanswerable=["a00", "a01"])}
    with pytest.raises(EvaluationIncomplete, match=r"champion has no answer to row a0. \(it cannot be asked\)"):
        interleaved_seconds(sides, list(suite("a", 2, 2).items), None)


def test_settings_that_differ_are_named() -> None:
    assert differing({"device": "a", "dtype": "x"}, {"device": "b", "dtype": "x", "seed": 0}) == ["device", "seed"]

import copy
from pathlib import Path
from typing import Any

import pytest

from ft_assets.evaluation.integrity import integrity_problems
from ft_assets.evaluation.report import write_report
from ft_assets_tests.evaluation.test_report import a_suite, facts_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("report")
    return write_report(folder, facts_of(a_suite()))


def test_a_report_as_it_is_written_may_be_relied_on(written: dict[str, Any]):
    assert integrity_problems(written) == []


def test_a_number_that_is_not_finite_is_found(written: dict[str, Any]):
    damaged = copy.deepcopy(written)
    damaged["suites"]["golden"]["rows"][3]["champion"]["answer_nll"] = float("nan")
    assert integrity_problems(damaged) == ["Suite golden: 1 rows have no finite score of the champion (first: r003)."]


def test_a_model_without_scores_is_found(written: dict[str, Any]):
    damaged = copy.deepcopy(written)
    del damaged["suites"]["golden"]["rows"][0]["base"]
    assert "no finite score of the base" in integrity_problems(damaged)[0]


def test_a_row_that_counts_twice_is_found(written: dict[str, Any]):
    damaged = copy.deepcopy(written)
    damaged["suites"]["golden"]["rows"].append(damaged["suites"]["golden"]["rows"][0])
    assert integrity_problems(damaged) == ["Suite golden: 1 rows are counted twice."]


def test_a_verdict_about_a_suite_that_is_not_there_is_found(written: dict[str, Any]):
    damaged = {**written, "judged_suite": "other"}
    assert "'other', holds no row" in integrity_problems(damaged)[0]

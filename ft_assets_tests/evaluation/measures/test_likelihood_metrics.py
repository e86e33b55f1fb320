import math

import pytest

from ft_assets.evaluation.measures.likelihood_metrics import PERPLEXITY, TOKEN_ACCURACY
from ft_assets.evaluation.metric import Answered
from ft_assets_tests.evaluation.samples import item, prediction


def figure(metric, *numbers: tuple[float | None, int | None, int | None]) -> float | None:
    rows = [
        Answered(
            item(str(place)), prediction(str(place), answer_nll=nll, answer_tokens=count, answer_tokens_right=right)
        )
        for place, (nll, count, right) in enumerate(numbers)
    ]
    return metric.figure(metric.points(rows))


def test_perplexity_is_over_tokens_and_not_over_rows():
    assert figure(PERPLEXITY, (1.0, 1, 1), (8.0, 9, 0)) == pytest.approx(math.exp(0.9))
    assert figure(PERPLEXITY, (math.log(4096) * 10, 10, 0)) == pytest.approx(4096)
    assert figure(PERPLEXITY, (0.0, 3, 3)) == 1.0
    assert math.isfinite(figure(PERPLEXITY, (1e9, 1, 0)))


def test_token_accuracy_is_over_tokens_and_not_over_rows():
    assert figure(TOKEN_ACCURACY, (1.0, 1, 1), (8.0, 9, 0)) == 0.1


def test_without_likelihoods_neither_applies():
    assert figure(PERPLEXITY, (None, None, None)) is None
    assert figure(TOKEN_ACCURACY, (None, None, None)) is None
    assert figure(PERPLEXITY, (None, None, None), (0.0, 2, 1)) == 1.0

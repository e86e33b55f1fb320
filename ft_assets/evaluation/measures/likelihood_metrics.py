"""Metrics of how probable a model finds the reference answers, each token given those before it (teacher forcing)."""

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.metric import Metric, Points, each
from ft_assets.evaluation.prediction import Prediction


def surprise_of(item: EvalItem, prediction: Prediction) -> Points | None:
    """exp(sum of the negative log-likelihoods in nats / number of reference tokens), over tokens and not over rows; the
    end token counts. 1 is certainty; the size of the vocabulary is blind guessing. Models with other tokenizers cannot
    be compared by it. Does not apply where a backend gives no likelihoods. Jelinek, Mercer, Bahl and Baker 1977,
    "Perplexity: a measure of the difficulty of speech recognition tasks"."""
    if prediction.answer_nll is None or not prediction.answer_tokens:
        return None
    return Points(prediction.answer_nll, float(prediction.answer_tokens))


def tokens_right_of(item: EvalItem, prediction: Prediction) -> Points | None:
    """Share of the reference's tokens that the model ranks first, given those before: right tokens / reference tokens,
    over tokens and not over rows; the end token counts. What TRL's SFTTrainer logs as mean_token_accuracy. Does not
    apply where a backend gives no likelihoods."""
    if prediction.answer_tokens_right is None or not prediction.answer_tokens:
        return None
    return Points(float(prediction.answer_tokens_right), float(prediction.answer_tokens))


PERPLEXITY = Metric("perplexity", "perplexity", False, each(surprise_of))
TOKEN_ACCURACY = Metric("token_accuracy", "rate", True, each(tokens_right_of))

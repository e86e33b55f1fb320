"""One model's answer to one item: a row of the table `predictions`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """`answer_nll` is the sum over the reference's tokens in nats, its end token included; `answer_tokens` counts them,
    `answer_tokens_right` those that the model ranked first; all three are None where a backend cannot tell (an endpoint
    that answers only). `n_tokens` counts the generated tokens without the end token; `cut_off`: it was stopped at the
    most tokens allowed. `seconds` is the row's equal share of its batch.

    `setting_digest` stands for decoding, backend and version, dtype, device and batch policy.
    """

    model_digest: str
    setting_digest: str
    prompt_digest: str
    row_id: str
    answer: str
    n_tokens: int
    cut_off: bool
    seconds: float
    answer_nll: float | None = None
    answer_tokens: int | None = None
    answer_tokens_right: int | None = None

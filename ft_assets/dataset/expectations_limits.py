"""What a model line expects of its snapshots: the bounds of the expectations, and the hard floor.

Light on purpose (pydantic only): the specialization loader reads this when definitions load.
"""

from pydantic import BaseModel, ConfigDict, Field

SFT_MINIMUM_EXAMPLES, SFT_IDEAL_EXAMPLES = 1_000, 10_000
PREFERENCE_MINIMUM_PAIRS, PREFERENCE_IDEAL_PAIRS = 1_000, 5_000
FROZEN = ConfigDict(frozen=True, extra="forbid")


class HardFloor(BaseModel):
    """Below it there is no snapshot and nothing is trained; 0 asks for nothing.

    Two floors stand elsewhere: train rows in `trigger.minimum_examples`, rows of a task in `rules.validators`.
    """

    model_config = FROZEN
    eval_clusters: int = Field(default=0, ge=0, description="Independent clusters of the eval side and golden set.")
    preference_pairs: int = Field(default=0, ge=0, description="Preference pairs on the train side.")
    human_verified_share: float = Field(default=0.0, ge=0, le=1, description="Of the train rows.")


class Expectations(BaseModel):
    """What is expected of a snapshot. A broken expectation warns with its numbers; only `hard_floor` stops.

    They are no part of the snapshot's recipe: other bounds judge the same snapshot, they do not make another one.
    """

    model_config = FROZEN
    least_rows_of_last: float = Field(default=0.9, ge=0, le=1, description="Rows, as a share of the last snapshot's.")
    largest_share: float = Field(default=0.8, gt=0, le=1, description="Of one task or role among the train rows.")
    smallest_share: float = Field(default=0.02, ge=0, lt=1, description="Of each task and role that `select` names.")
    tokens_p05_at_least: int = Field(default=4, ge=1, description="5 % of the rows may have fewer tokens.")
    tokens_p95_at_most: int | None = Field(
        default=None, ge=1, description="5 % of the rows may have more tokens; empty means the recipe's max_length."
    )
    answer_characters_p05_at_least: int = Field(default=1, ge=1, description="5 % of the answers may be shorter.")
    answer_characters_p95_at_most: int = Field(default=20_000, ge=1, description="5 % of the answers may be longer.")
    largest_drift: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Largest gap between the cumulative distributions of this snapshot and the last one, for tokens, "
        "answer characters and scores (Kolmogorov-Smirnov). More is allowed where two small samples differ by chance.",
    )
    sft_minimum: int = Field(default=SFT_MINIMUM_EXAMPLES, ge=1, description="Train rows.")
    sft_ideal: int = Field(default=SFT_IDEAL_EXAMPLES, ge=1, description="Train rows.")
    preference_minimum: int = Field(default=PREFERENCE_MINIMUM_PAIRS, ge=1, description="Pairs on the train side.")
    preference_ideal: int = Field(default=PREFERENCE_IDEAL_PAIRS, ge=1, description="Pairs on the train side.")
    least_human_verified_share: float = Field(default=0.05, ge=0, le=1, description="Of the train rows.")
    hard_floor: HardFloor = HardFloor()


DEFAULT = Expectations()

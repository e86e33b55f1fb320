"""One line of models, typed: who it is for, what it is made from, when it is retrained and how it is judged."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ft_assets.dataset.expectations_limits import Expectations
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selector
from ft_assets.dataset.split import SplitFractions
from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.deciding.gate_rules import GateRules
from ft_assets.specializations.evaluation_settings import FROZEN, Evaluation
from ft_assets.specializations.release_settings import Release
from ft_assets.system_prompts import SystemPrompts
from ft_assets.training.catalogue import resolve
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Approach


def _known_base_model(value: object) -> object:
    """The value as it was written, if the catalogue can make a base model of it."""
    if not isinstance(value, str) and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise ValueError(
            f"found {value!r}, allowed: the id of a catalogue model such as tiny-base, "
            "{hub: owner/name, revision: <40 hex digits>} or {path: <directory>}"
        )
    try:
        resolve(value)
    except BadConfiguration as refusal:
        raise ValueError(str(refusal)) from refusal
    return value


BaseModelChoice = Annotated[str | dict[str, Any], BeforeValidator(_known_base_model)]


class Drift(BaseModel):
    """When falling ratings of the champion's answers are a reason to train before the number of new rows is one."""

    model_config = FROZEN
    least_fall: float = Field(default=0.3, gt=0, le=4, description="Points on 1 to 5, against the ratings before.")
    window_days: int = Field(default=7, ge=1, le=365, description="The last days, which are compared with all before.")
    least_ratings: int = Field(default=50, ge=2, description="Rated answers that each of both must have.")


class Trigger(BaseModel):
    """When the sensor starts a run."""

    model_config = FROZEN
    new_examples: int = Field(default=100, ge=1, description="New train rows since the last snapshot that trained.")
    minimum_examples: int = Field(default=100, ge=1, description="Train rows in all below which nothing is trained.")
    cooldown_hours: float | None = Field(default=None, gt=0, description="Least hours from one training to the next.")
    runs_per_month: int | None = Field(
        default=None, ge=1, description="Runs of a calendar month (UTC), failed ones too."
    )
    dollars_per_month: float | None = Field(default=None, gt=0, description="What they may cost in all.")
    drift: Drift | None = Field(default=None, description="Also train when the champion's ratings fall.")


class Compute(BaseModel):
    """What a training or evaluation step asks of a cluster. On one machine only the price is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)
    gpus: int = Field(default=0, ge=0)
    cpu: str = Field(default="2", pattern=r"^\d+(\.\d+)?m?$", description="Cores, for example 4 or 500m.")
    memory: str = Field(default="4Gi", pattern=r"^\d+(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$", description="For example 16Gi.")
    gpu: str | None = Field(
        default=None, min_length=1, description="The GPU's name as nvidia-smi prints it, to estimate memory and hours."
    )
    dollars_per_gpu_hour: float | None = Field(
        default=None, gt=0, description="What a GPU costs in an hour; without it hours are told and no cost."
    )
    node_selector: dict[str, str] = {}
    image: str | None = Field(default=None, description="Container image; empty uses the code location's own.")


class Specialization(BaseModel):
    """The content of one YAML file. Its name is a partition key, part of a version name and a label in a cluster."""

    model_config = FROZEN
    name: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)
    version_series: int = Field(default=1, ge=0, description="Major version; raise it when the line starts anew.")
    description: str = Field(min_length=1)
    status: Literal["active", "retired"] = "active"
    enabled: bool = True
    architecture: Literal["finetuned", "rag-only"] = "finetuned"
    model_type: Literal["domain-specific", "task-optimised", "user-customised", "hybrid"] = "domain-specific"
    select: Selector
    rules: Rules = Rules()
    expectations: Expectations = Expectations()
    base_model: BaseModelChoice
    approach: Approach = "sft"
    recipe: Recipe = Recipe.model_validate({})
    split: SplitFractions = Field(default_factory=SplitFractions)
    trigger: Trigger = Field(default_factory=Trigger)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    gate: GateRules = GateRules.model_validate({})
    release: Release = Field(default_factory=Release)
    system_prompt: SystemPrompts = SystemPrompts()
    compute: Compute = Field(default_factory=Compute)

    @model_validator(mode="before")
    @classmethod
    def _the_recipe_knows_its_approach(cls, data: Any) -> Any:
        """Defaults and ranges of a recipe follow from the approach, which is written once, beside it."""
        if not isinstance(data, dict) or (approach := data.get("approach", "sft")) not in get_args(Approach):
            return data
        recipe = data.get("recipe", {})
        return {**data, "recipe": {"approach": approach, **recipe}} if isinstance(recipe, dict) else data

    @field_validator("system_prompt")
    @classmethod
    def _for_rows_that_it_has(cls, prompts: SystemPrompts, info: ValidationInfo) -> SystemPrompts:
        """A text for rows that the line never takes is a slip in a name."""
        select = info.data.get("select") or Selector()
        for kind, named, taken in (
            ("role", prompts.by_role, select.roles),
            ("reasoning mode", prompts.by_reasoning_mode, select.reasoning_modes),
        ):
            if taken and (unused := [name for name in named if name not in taken]):
                raise ValueError(f"{unused[0]!r} is no {kind} that the line selects: {', '.join(taken)}")
        return prompts

    @field_validator("recipe")
    @classmethod
    def _one_approach(cls, recipe: Recipe, info: ValidationInfo) -> Recipe:
        approach = info.data.get("approach", recipe.approach)
        if recipe.approach != approach:
            raise ValueError(
                f"its approach is {recipe.approach}, and the line's is {approach}. Write it once, in the line"
            )
        return recipe

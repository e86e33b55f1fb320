"""What a run will take, before anything is loaded: steps, tokens, memory, hours, cost. Arithmetic, for preflight."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ft_assets.training.memory import (
    RUNTIME,
    MemoryEstimate,
    MemoryQuestion,
    estimate_memory,
    largest_max_length,
    needed,
)
from ft_assets.training.model_shape import FLOPS_PER_WEIGHT, FORWARD_FLOPS_PER_WEIGHT, ModelShape
from ft_assets.training.problem import Problem
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.training_device import TrainingDevice

# Share of the peak that a run is taken to reach. 8 B LoRA at 9,000 tokens per second on an H200 would be 0.27;
# published best practice, 12,473 on an H100, is 0.38. A CPU with bfloat16 reached 0.3 at 60 M parameters.
EXPECTED_MFU = 0.3
GIB = 2**30


@dataclass(frozen=True)
class StageTokens:
    """What one stage reads: packed rows (pairs, judged answers) and tokens without padding, per epoch and side.

    A pair's tokens count its prompt twice, once with each answer. `learned` is the tokens of `train` in the loss.
    """

    rows: int
    train: int
    validation: int = 0
    learned: int | None = None

    @property
    def learned_share(self) -> float:
        """Share of the train tokens that the loss counts; half where nobody has counted them."""
        return 0.5 if self.learned is None or not self.train else self.learned / self.train


@dataclass(frozen=True)
class StageEstimate:
    """What one stage will take. `seconds` is None where the device's peak is not known."""

    objective: Objective
    steps: int
    tokens_per_epoch: int
    tokens: int
    flops: float
    seconds: float | None
    memory: MemoryEstimate
    question: MemoryQuestion


@dataclass(frozen=True)
class RunEstimate:
    """What all stages of a run will take on a device."""

    stages: tuple[StageEstimate, ...]
    device: TrainingDevice

    @property
    def steps(self) -> int:
        """Optimizer steps, if early stopping does not end a stage before."""
        return sum(stage.steps for stage in self.stages)

    @property
    def tokens(self) -> int:
        """Tokens trained on, padding left out."""
        return sum(stage.tokens for stage in self.stages)

    @property
    def memory_bytes(self) -> int:
        """The most that a stage needs of one device, its runtime included."""
        return max(needed(stage.question) for stage in self.stages)

    @property
    def hours(self) -> float | None:
        """Hours of the training itself on all devices together running; None where the device's peak is not known."""
        seconds = [stage.seconds for stage in self.stages if stage.seconds is not None]
        return sum(seconds) / 3600 if len(seconds) == len(self.stages) else None

    @property
    def dollars(self) -> float | None:
        """Hours x devices x price; None where the hours or the price are not known."""
        price = self.device.dollars_per_hour
        return None if self.hours is None or price is None else self.hours * self.device.count * price

    def as_metadata(self) -> dict[str, Any]:
        """Figures for a report, by name; `unknown` stands where nothing is known."""
        return {
            "device": f"{self.device.count} x {self.device.name}" if self.device.count > 1 else self.device.name,
            "expected_steps": self.steps,
            "expected_tokens": self.tokens,
            "expected_memory_gib": round(self.memory_bytes / GIB, 2),
            "device_memory_gib": _rounded(self.device.memory_bytes, GIB),
            "expected_hours": "unknown" if self.hours is None else float(f"{self.hours:.3g}"),
            "expected_dollars": "unknown" if self.dollars is None else round(self.dollars, 2),
        }


def estimate(
    recipe: Recipe, shape: ModelShape, tokens: Mapping[Objective, StageTokens], device: TrainingDevice
) -> RunEstimate:
    """What training `recipe` on so many tokens will take. `tokens` has an entry for each stage of the recipe."""
    return RunEstimate(
        tuple(_stage(stage, shape, tokens[stage.objective], device) for stage in recipe.stages()), device
    )


def estimate_problems(found: RunEstimate) -> Iterator[Problem]:
    """A stage that does not fit the device, with what would; nothing where the device's memory is not known."""
    memory = found.device.memory_bytes
    for stage in found.stages:
        wanted = needed(stage.question)
        if memory is not None and wanted > memory:
            told = (
                f"{stage.objective} needs about {wanted / GIB:.1f} GiB ({_largest_parts(stage)}), and "
                f"{found.device.name} has {memory / GIB:.1f}. {_what_would_fit(stage.question, memory)}"
            )
            yield Problem("memory_over_device", told, key=("max_length",))


def _stage(recipe: Recipe, shape: ModelShape, tokens: StageTokens, device: TrainingDevice) -> StageEstimate:
    question = MemoryQuestion(
        shape, recipe, device.type, device.half, learned_share=tokens.learned_share, devices=device.count
    )
    steps = recipe.steps(tokens.rows)
    flops = _flops(recipe, shape, tokens, steps)
    seconds = None if device.peak_flops is None else flops / (device.peak_flops * device.count * EXPECTED_MFU)
    return StageEstimate(
        objective=recipe.objective,
        steps=steps,
        tokens_per_epoch=tokens.train,
        tokens=tokens.train * recipe.num_train_epochs,
        flops=flops,
        seconds=seconds,
        memory=estimate_memory(question),
        question=question,
    )


def _flops(recipe: Recipe, shape: ModelShape, tokens: StageTokens, steps: int) -> float:
    """Operations of training, of the reference's answers, and of the evaluations."""
    trained = tokens.train * recipe.num_train_epochs
    passes = 1 if recipe.precompute_ref_log_probs else recipe.num_train_epochs
    asked = 0 if recipe.objective == "sft" else tokens.train * passes + tokens.validation
    evaluations = 1 + steps // recipe.intervals(steps).eval_steps if steps else 0
    forwards = asked + tokens.validation * evaluations
    per_weight = FLOPS_PER_WEIGHT[recipe.method] * trained + FORWARD_FLOPS_PER_WEIGHT * forwards
    return float(shape.matmul_parameters * per_weight)


def _largest_parts(stage: StageEstimate, count: int = 3) -> str:
    parts = {**vars(stage.memory), "runtime": RUNTIME[stage.question.device]}
    largest: Sequence[tuple[str, int]] = sorted(parts.items(), key=lambda part: -part[1])[:count]
    return ", ".join(f"{name.replace('_', ' ')} {size / GIB:.1f}" for name, size in largest)


def _what_would_fit(question: MemoryQuestion, memory: int) -> str:
    """The mildest changes first: a smaller micro-batch and checkpointing leave what is learned as it is."""
    recipe = question.recipe
    batch, accumulation = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
    while batch > 1:
        batch, accumulation = batch // 2, accumulation * 2
        if needed(question.at(micro_batch=batch)) <= memory:
            return f"Write per_device_train_batch_size: {batch} and gradient_accumulation_steps: {accumulation}."
    least = question.at(micro_batch=1)
    mend = "per_device_train_batch_size: 1, " if recipe.per_device_train_batch_size > 1 else ""
    if not recipe.gradient_checkpointing:
        least = least.checkpointed()
        mend += "gradient_checkpointing: true, "
        if needed(least) <= memory:
            return f"Write {mend.rstrip(', ')}."
    longest = largest_max_length(least, memory)
    if longest is not None:
        return f"Write {mend}max_length: {longest}; longer rows are refused then, never cut."
    other = "" if recipe.method == "qlora" else ", method: qlora"
    return f"No max_length fits: it takes a smaller base model{other} or a larger device."


def _rounded(size: int | None, unit: int) -> float | str:
    return "unknown" if size is None else round(size / unit, 1)

"""The recipe of a training that nobody wrote one for: the project's defaults, fitted to the model and to the rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.errors import BadConfiguration, MissingInput
from ft_assets.training.recipe import Recipe

if TYPE_CHECKING:
    from ft_assets.training.packed_rows import TrainingRow

SMALL_MODEL = 50_000_000  # parameters below which adapters learn at a much higher rate
STEPS_WANTED = 30  # optimizer steps below which the learning rate has hardly risen before it falls
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
LARGEST_ACCUMULATION = 8


def written_recipe(file: Path) -> Recipe:
    """The recipe in a YAML file, in the words of a specialization's `recipe`.

    Raises:
        MissingInput: there is no such file.
        BadConfiguration: it is no YAML mapping, or asks for what no recipe has.
    """
    import yaml
    from pydantic import ValidationError

    if not file.is_file():
        raise MissingInput(f"{file} is no file. Give the path of a YAML file with --recipe, or leave it out.")
    try:
        words = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{file} is no YAML: {error}") from error
    if not isinstance(words, dict):
        raise BadConfiguration(f"{file} holds {type(words).__name__}; a recipe is a mapping, such as `r: 16`.")
    try:
        return Recipe.model_validate(words)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise BadConfiguration(f"{file} is no recipe: {'; '.join(places)}.") from error


def default_recipe(rows: "Sequence[TrainingRow]", base: Path, parameters: int) -> Recipe:
    """SFT of a LoRA adapter with the project's defaults, and three knobs that follow from model and rows.

    `max_length` is the shortest that holds every row; the accumulation is lowered until an epoch has enough steps; a
    very small model gets the learning rate that it learns at. What leaves its range says why.
    """
    lengths = _lengths(rows, base)
    longest = max(lengths)
    max_length = next((length for length in LENGTHS if length >= longest), longest)
    epochs = Recipe.model_validate({}).num_train_epochs
    packed = max(1, sum(lengths) // max_length)
    accumulation = max(1, min(LARGEST_ACCUMULATION, packed * epochs // STEPS_WANTED))
    reasons: dict[str, str] = {}
    knobs: dict[str, Any] = {"max_length": max_length, "gradient_accumulation_steps": accumulation}
    if accumulation < 4:
        reasons["effective_batch"] = f"{packed} packed rows an epoch would give too few steps otherwise"
    if parameters < SMALL_MODEL:
        knobs["learning_rate"] = 3e-3
        reasons["learning_rate"] = f"a model of {parameters:,} parameters learns at 3e-3"
    return Recipe.model_validate({**knobs, "outside_range": reasons})


def _lengths(rows: "Sequence[TrainingRow]", base: Path) -> list[int]:
    from ft_assets.chat import Chat
    from ft_assets.training.packed_rows import tokenised

    return [len(each["input_ids"]) for each in tokenised(rows, "train", Chat(base), None, LENGTHS[-1])]

"""Tasks of lm-evaluation-harness (EleutherAI) asked of one of our models; an optional extra, beside our own suites.

What the harness measures is its own business: its prompts, its datasets (which it may fetch), its scoring. It decides
nothing here. Gao et al., "A framework for few-shot language model evaluation", and its Python interface:
https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/python-api.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.asking.model_to_ask import ModelToAsk

SEED = 0  # of few-shot examples and everything else that the harness draws
RESAMPLES = 1_000  # for standard errors without a closed form; none at all would drop those with one, too
EXTRA = "pip install 'ft_assets[harness]'"


@dataclass(frozen=True)
class HarnessFigure:
    """One figure of a task. `metric` and `filter` are the harness's names, `standard_error` None where it has none,
    `rows` how many questions it asked."""

    task: str
    metric: str
    filter: str
    value: float
    standard_error: float | None
    rows: int
    higher_is_better: bool | None


def harness_figures(
    model: ModelToAsk,
    tasks: Sequence[str],
    *,
    task_folder: Path | None = None,
    few_shot: int | None = None,
    rows: int | None = None,
    batch_rows: int = 8,
    chat: bool = False,
) -> list[HarnessFigure]:
    """What the tasks give, ordered by task, metric and filter; nothing is random but what SEED decides.

    `task_folder` holds task files of one's own. `few_shot` and `rows` are the task's own where None; fewer rows are for
    a try, not for a result. `chat` asks through the model's chat template. Code that a task would run is refused: the
    harness has no sandbox.

    Raises:
        BadConfiguration: lm-eval is not installed, or it knows no task of that name.
    """
    import_harness()
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(task_folder) if task_folder else None)
    if unknown := sorted(set(tasks) - set(manager.match_tasks(list(tasks)))):
        raise BadConfiguration(
            f"lm-evaluation-harness {lm_eval.__version__} knows no task {unknown[0]!r}, so nothing was asked. "
            "`lm-eval ls tasks` lists what there is; tasks of your own stand in YAML files in a task folder."
        )
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args=model_args(model),
        tasks=list(tasks),
        task_manager=manager,
        num_fewshot=few_shot,
        limit=rows,
        batch_size=batch_rows,
        apply_chat_template=chat,
        log_samples=False,
        bootstrap_iters=RESAMPLES,
        random_seed=SEED,
        numpy_random_seed=SEED,
        torch_random_seed=SEED,
        fewshot_random_seed=SEED,
    )
    return figures_of(found or {})


def import_harness() -> None:
    """Nothing, if lm-eval can be imported.

    Raises:
        BadConfiguration: it cannot; the message names the extra to install.
    """
    try:
        import lm_eval  # noqa: F401
    except ImportError as error:
        raise BadConfiguration(
            "lm-evaluation-harness is not installed, so its tasks cannot be asked; our own suites need none of it. "
            f"Install the extra: {EXTRA}. (Missing: {error.name})"
        ) from error


def model_args(model: ModelToAsk) -> dict[str, Any]:
    """How the harness loads the model: the base with its adapter, or whole weights with the base's tokenizer."""
    from ft_assets.compute import compute_device
    from ft_assets.evaluation.asking.transformers_backend import evaluation_dtype

    how = {"dtype": str(evaluation_dtype()).removeprefix("torch."), "device": compute_device()}
    if model.adapter_dir is None:
        return {"pretrained": str(model.base_dir), **how}
    if (model.adapter_dir / "adapter_config.json").exists():
        return {"pretrained": str(model.base_dir), "peft": str(model.adapter_dir), **how}
    return {"pretrained": str(model.adapter_dir), "tokenizer": str(model.base_dir), **how}


def figures_of(found: Mapping[str, Any]) -> list[HarnessFigure]:
    """The figures in what `simple_evaluate` returns: under `results`, by task, "<metric>,<filter>" and
    "<metric>_stderr,<filter>"."""
    figures = []
    for task, its in found.get("results", {}).items():
        better = found.get("higher_is_better", {}).get(task, {})
        asked = found.get("n-samples", {}).get(task, {}).get("effective", 0)
        for key, value in its.items():
            metric, comma, name = key.partition(",")
            if not comma or metric.endswith("_stderr") or isinstance(value, str):
                continue
            error = its.get(f"{metric}_stderr,{name}")
            own_error = error if isinstance(error, float) and error == error else None
            figures.append(HarnessFigure(task, metric, name, float(value), own_error, int(asked), better.get(metric)))
    return sorted(figures, key=lambda figure: (figure.task, figure.metric, figure.filter))

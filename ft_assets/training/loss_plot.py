"""How a training went, as pictures: its loss, and what moved beside it."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION, RATE, INK = "#8da9c4", "#d1495b", "#b8b8b8", "#333333"
LOG_SCALE_FROM = 10  # highest loss over lowest
# of `training_curves`: title, and the keys of the train and the validation side in the log
PANELS = (
    ("learning rate", "learning_rate", ""),
    ("gradient norm, before clipping", "grad_norm", ""),
    ("accuracy per answer token", "mean_token_accuracy", "eval_mean_token_accuracy"),
    ("pairs whose chosen answer is preferred", "rewards/accuracies", "eval_rewards/accuracies"),
    ("preference margin", "rewards/margins", "eval_rewards/margins"),
)


def loss_curve(log_history: Sequence[dict[str, float]], title: str = "Loss per answer token") -> bytes:
    """A PNG of train and validation loss (nats per answer token) over the steps, with the learning rate behind them.

    The lowest validation loss, the checkpoint that was kept, is marked. Takes `TrainingResult.log_history`.
    """
    from matplotlib.figure import Figure  # draws without a display and without pyplot's global state

    figure = Figure(figsize=(8, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    train, validation, rate = (_series(log_history, key) for key in ("loss", "eval_loss", "learning_rate"))
    rates = axes.twinx()
    rates.plot(*rate, color=RATE, linewidth=1, linestyle=(0, (4, 3)), label="learning rate")
    axes.plot(*train, color=TRAIN, linewidth=1.6, label="train")
    axes.plot(*validation, color=VALIDATION, linewidth=1.8, marker="o", markersize=4, label="validation")
    _mark_best(axes, *validation)
    _scale(axes, [loss for loss in train[1] + validation[1] if loss > 0])
    _tidy(axes, rates)
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    handles = [line for a in (axes, rates) for line in a.get_lines() if not str(line.get_label()).startswith("_")]
    axes.legend(handles=handles, loc="upper right", frameon=False, fontsize=9)
    return _png(figure)


def training_curves(log_history: Sequence[dict[str, float]]) -> bytes | None:
    """A PNG with a panel over the steps for each that was logged: learning rate, gradient norm, accuracy, margin.

    Accuracy is a fraction, of answer tokens or of preference pairs; the margin is DPO's, in nats times beta. None when
    nothing of it is in the log. Takes `StageResult.log_history`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    seen = {key for entry in log_history for key in entry}
    panels = [panel for panel in PANELS if seen & set(panel[1:])]
    if not panels:
        return None
    figure = Figure(figsize=(8, 0.5 + 1.5 * len(panels)), dpi=80, layout="constrained")
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (title, train, validation) in zip(rows, panels, strict=True):
        axes.plot(*_series(log_history, train), color=TRAIN, linewidth=1.4, label="train")
        axes.plot(*_series(log_history, validation), color=VALIDATION, marker="o", markersize=3, label="validation")
        axes.set_title(title, loc="left", fontsize=9, color=INK)
        axes.tick_params(labelsize=8)
        _plain(axes)
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    rows[-1].set_xlabel("optimizer step", color=INK)
    if seen & {validation for _, _, validation in panels}:
        rows[-1].legend(frameon=False, fontsize=8)
    return _png(figure)


def _series(log_history: Sequence[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
    return [step for step, _ in points], [value for _, value in points]


def _mark_best(axes: "Axes", steps: list[float], losses: list[float]) -> None:
    trained = [i for i, step in enumerate(steps) if step > 0]  # step 0 is the base model, which no checkpoint holds
    if not trained:
        return
    best = min(trained, key=lambda i: losses[i])
    label = f"kept: {losses[best]:.3g} at step {steps[best]:g}"
    axes.plot(steps[best], losses[best], "o", markersize=10, markerfacecolor="none", color=VALIDATION, label=label)


def _scale(axes: "Axes", losses: list[float]) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if losses and max(losses) > LOG_SCALE_FROM * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _tidy(axes: "Axes", rates: "Axes") -> None:
    axes.set_zorder(rates.get_zorder() + 1)  # losses above the learning rate
    axes.patch.set_visible(False)
    axes.set_xlabel("optimizer step", color=INK)
    axes.set_ylabel("nats per token", color=INK)
    rates.set_ylabel("learning rate", color="#8a8a8a")
    rates.set_ylim(bottom=0)
    rates.tick_params(colors="#8a8a8a", labelsize=8)
    rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    _plain(axes)
    for spine in rates.spines.values():
        spine.set_visible(False)


def _plain(axes: "Axes") -> None:
    axes.grid(axis="y", which="major", color="#ebebeb", linewidth=0.8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.spines["bottom"].set(visible=True, color="#cccccc")


def _png(figure: "Figure") -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()

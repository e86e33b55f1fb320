"""The pictures of a data card. matplotlib's Agg backend: no display, and the same bytes for the same numbers."""

import io
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ft_assets.dataset.card_funnel import Funnel, grouped, in_words
from ft_assets.dataset.summary import COVERAGE_MINIMUM
from ft_assets.records import SIDES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, GRID = "#2b2f36", "#7a828e", "#e6e8ec"
COLORS = {"train": "#2f6fb0", "validation": "#d08a3c", "eval": "#6f9a5c"}
NOW, BEFORE, GAP = "#2f6fb0", "#c4c9d2", "#c0392b"
DOTS_PER_INCH = 100
MOST_DAYS = 120  # more of them become weeks
MOST_TASKS = 20
LONGEST_LABEL = 34


def draw_all(
    funnel: Funnel, coverage: list[dict[str, Any]], rows: pl.DataFrame, last: pl.DataFrame | None
) -> dict[str, bytes]:
    """Name to PNG of every picture that has something to show, in the order in which a card shows them."""
    pictures: dict[str, bytes] = {"funnel": funnel_plot(funnel)}
    if rows["day"].count():
        pictures["days"] = days_plot(rows)
    pictures["coverage"] = coverage_plot(coverage)
    if rows["n_tokens"].count():
        pictures["tokens"] = tokens_plot(rows)
    if rows["quality_score"].count():
        pictures["scores"] = scores_plot(rows["quality_score"], None if last is None else last["quality_score"])
    return pictures


def funnel_plot(funnel: Funnel) -> bytes:
    """A bar per step; under it what was taken away before the next one."""
    steps = funnel.steps
    figure, axes = _canvas(7.6, 0.3 + 0.72 * len(steps))
    largest = max(1, *(step.count for step in steps))
    for place, step in enumerate(reversed(steps)):
        axes.barh(place, step.count / largest, height=0.26, color=NOW if place == 0 else BEFORE)
        axes.text(0, place + 0.17, f"{step.count:,} {step.name}", color=INK, fontsize=10, va="bottom", weight="bold")
        if step.taken:
            reasons = [f"{in_words(reason)} {number:,}" for reason, number in grouped(step.taken, 4).items()]
            told = f"less {sum(step.taken.values()):,}: {', '.join(reasons)}"
            axes.text(0.012, place - 0.17, _plain(told, 108), color=SOFT, fontsize=8.5, va="top", in_layout=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.25, len(steps) - 0.5)
    axes.set_axis_off()
    return _png(figure)


def days_plot(rows: pl.DataFrame) -> bytes:
    """Rows of the snapshot by the day on which they landed; by week where there are many days."""
    counted = rows["day"].drop_nulls().value_counts().sort("day")
    days = [date.fromisoformat(day) for day in counted["day"]]
    span = (days[-1] - days[0]).days + 1
    numbers, width = counted["count"].to_list(), 0.85
    if by_week := span > MOST_DAYS:
        weeks: dict[date, int] = {}
        for day, number in zip(days, numbers, strict=True):
            first = day - timedelta(days=day.weekday())
            weeks[first] = weeks.get(first, 0) + number
        days, numbers, width = list(weeks), list(weeks.values()), 6.2
    figure, axes = _canvas(7.6, 2.4)
    axes.bar(days, numbers, width=width, color=NOW, align="edge" if by_week else "center", zorder=2)  # type: ignore[arg-type]
    _dates(axes, days)
    _labels(axes, f"landing {'week' if by_week else 'day'} (UTC)", "rows")
    return _png(figure)


def coverage_plot(coverage: list[dict[str, Any]]) -> bytes:
    """Train rows by task and role, or by task and side where there is one role; red numbers are gaps."""
    roles = sorted({each["role"] for each in coverage})
    columns = roles if len(roles) > 1 else list(SIDES)
    cells: dict[str, dict[str, int]] = {}
    for each in coverage:
        row = cells.setdefault(each["task"], dict.fromkeys(columns, 0))
        for column in [each["role"]] if len(roles) > 1 else columns:
            row[column] += each["train" if len(roles) > 1 else column]
    tasks = sorted(cells, key=lambda task: (-sum(cells[task].values()), task))[:MOST_TASKS]
    numbers = np.array([[cells[task][column] for column in columns] for task in tasks], dtype=float)
    figure, axes = _canvas(7.6, 0.9 + 0.34 * len(tasks))
    darkest = max(1.0, float(np.sqrt(numbers.max())) * 1.6)  # so that ink stays readable on every cell
    axes.imshow(np.sqrt(numbers), cmap="Blues", aspect="auto", vmin=0, vmax=darkest)
    for (row, column), number in np.ndenumerate(numbers):
        gap = number < COVERAGE_MINIMUM and (len(roles) > 1 or columns[column] == "train")
        axes.text(column, row, f"{number:,.0f}", ha="center", va="center", fontsize=9, color=GAP if gap else INK)
    axes.set_xticks(range(len(columns)), [_plain(name).replace("-", "-\n") for name in columns], fontsize=9)
    axes.set_yticks(range(len(tasks)), [_plain(in_words(task)) for task in tasks], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    return _png(figure)


def tokens_plot(rows: pl.DataFrame) -> bytes:
    """The distribution of tokens per row on each side, as shares of that side; with a log axis where it is wide."""
    tokens = {side: rows.filter(pl.col("side") == side)["n_tokens"].drop_nulls().to_numpy() for side in SIDES}
    every = np.concatenate(list(tokens.values()))
    low, high = max(1, int(every.min())), int(every.max()) + 1
    wide = high > 20 * float(np.median(every))
    edges = np.geomspace(low, high, 21) if wide else np.linspace(low, high, min(21, high - low + 1))
    figure, axes = _canvas(7.6, 2.6)
    for side, values in tokens.items():
        if values.size:
            shares = np.histogram(values, edges)[0] / values.size
            filled = side == "train"
            axes.stairs(
                shares,
                edges,
                color=COLORS[side],
                fill=filled,
                alpha=0.35 if filled else 1,
                linewidth=1.6,
                label=f"{side} ({values.size:,} rows)",
            )
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
    _percent(axes)
    _labels(axes, "tokens in all turns of a row", "share of the side's rows")
    _legend(axes)
    return _png(figure)


def scores_plot(now: pl.Series, before: pl.Series | None) -> bytes:
    """The distribution of quality scores, the last snapshot's behind it."""
    samples = {"last snapshot": before, "this snapshot": now}
    known = {name: each.drop_nulls().to_numpy() for name, each in samples.items() if each is not None and each.count()}
    low = min(float(values.min()) for values in known.values())
    edges = np.linspace(min(0.95, np.floor(low * 20) / 20), 1.0, 26)
    figure, axes = _canvas(7.6, 2.6)
    for name, values in known.items():
        filled = name == "last snapshot"
        shares = np.histogram(values, edges)[0] / values.size
        axes.stairs(
            shares,
            edges,
            fill=filled,
            color=BEFORE if filled else NOW,
            linewidth=1.8,
            label=f"{name} ({values.size:,} scored rows)",
        )
    _percent(axes)
    _labels(axes, "quality score, mean of a row's signals on a scale of 0 to 1", "share of the rows")
    _legend(axes)
    return _png(figure)


def _dates(axes: "Axes", days: list[date]) -> None:
    """At most six dates, written out, evenly apart."""
    span = (days[-1] - days[0]).days
    apart = max(1, -(-span // 5))
    ticks = [days[0] + timedelta(days=number) for number in range(0, span + 1, apart)]
    axes.set_xticks(ticks, [tick.isoformat() for tick in ticks])  # type: ignore[arg-type]
    if span < 3:
        axes.set_xlim(days[0] - timedelta(days=3), days[-1] + timedelta(days=3))  # type: ignore[arg-type]


def _legend(axes: "Axes") -> None:
    """Above the plot, where no line can run through it."""
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)


def _percent(axes: "Axes") -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def _labels(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=SOFT)
    axes.set_ylabel(y, fontsize=9, color=SOFT)
    axes.tick_params(labelsize=9, colors=INK, length=0)
    axes.grid(axis="y", color=GRID, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#cccccc")


def _plain(name: str, longest: int = LONGEST_LABEL) -> str:
    """A label that matplotlib does not read as mathematics, printable and short."""
    shown = "".join(character if character.isprintable() else "?" for character in name)
    shown = shown if len(shown) <= longest else shown[: longest - 1] + "…"
    return shown.replace("$", r"\$")


def _canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure without pyplot, so that nothing global is touched and nothing has to be closed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: "Figure") -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()

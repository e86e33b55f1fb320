"""The two pictures of a report. matplotlib with the Agg backend: no display, the same bytes for the same numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {"rouge_l": "ROUGE-L", "exact_match": "exact match", "token_accuracy": "token accuracy"}
COLORS = {"base": "#b3b9c4", "champion": "#e0a458", "candidate": "#2f6fb0"}
BETTER, WORSE, OPEN = "#2a8c5a", "#c0392b", "#7a828e"
OUTCOME_COLORS = {"promote": BETTER, "hold": OPEN, "reject": WORSE}
DOTS_PER_INCH = 130
LONGEST_LABEL = 34


def draw_metrics(path: Path, report: Mapping[str, Any]) -> None:
    """Bars of the three rates per side on the judged suite. Perplexity stands in the legend: it has another scale."""
    suite = report["suites"][report["judged_suite"]]
    sides = [side for side in ("base", "champion", "candidate") if side in suite["summaries"]]
    figure, axes = _canvas(width=8.0, height=4.0)
    width = 0.8 / len(sides)
    for place, side in enumerate(sides):
        summary = suite["summaries"][side]
        at = [i + (place - (len(sides) - 1) / 2) * width for i in range(len(TITLES))]
        values = [summary[metric] for metric in TITLES]
        label = f"{side} (perplexity {summary['perplexity']:.3g})"
        bars = axes.bar(at, values, width * 0.92, color=COLORS[side], label=label, zorder=2)
        axes.bar_label(bars, labels=[f"{value:.2f}" for value in values], padding=2, fontsize=9)
    axes.set_xticks(range(len(TITLES)), list(TITLES.values()))
    axes.set_ylim(0, 1.12)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.grid(axis="y", color="#e6e8ec", zorder=0)
    axes.legend(frameon=False, ncols=len(sides), loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=9)
    rows = suite["summaries"]["candidate"]["rows"]
    _title(axes, report, f"{rows} questions of suite {report['judged_suite']}")
    _save(figure, path)


def draw_differences(path: Path, report: Mapping[str, Any]) -> None:
    """A forest plot: candidate minus each other side with its 95 % interval, overall per metric, then by task and slice
    in the primary metric. Green is surely better, red surely worse, grey is open."""
    lines = _forest_lines(report)
    figure, axes = _canvas(width=8.0, height=1.5 + 0.3 * len(lines))
    for place, (_, comparison) in enumerate(reversed(lines)):
        if comparison is None:
            continue
        color = BETTER if comparison["low"] > 0 else WORSE if comparison["high"] < 0 else OPEN
        axes.plot([comparison["low"], comparison["high"]], [place, place], color=color, linewidth=2.2, zorder=2)
        axes.plot(comparison["difference"], place, "o", color=color, markersize=6, zorder=3)
    labels = [label for label, _ in reversed(lines)]
    axes.set_yticks(range(len(lines)), labels, fontsize=9)
    for tick, (_, comparison) in zip(axes.get_yticklabels(), reversed(lines), strict=True):
        tick.set_fontweight("bold" if comparison is None else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(lines) - 0.3)
    axes.axvline(0, color="#333a45", linewidth=1, zorder=1)
    axes.grid(axis="x", color="#e6e8ec", zorder=0)
    axes.set_xlabel("candidate minus the other model, 95 % interval; right of 0 is better", fontsize=9)
    _title(axes, report, f"differences on suite {report['judged_suite']}")
    _save(figure, path)


def _forest_lines(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Label and comparison, top to bottom; a label without comparison is a heading."""
    suite, primary = report["suites"][report["judged_suite"]], report["rules"]["primary_metric"]
    lines: list[tuple[str, Mapping[str, Any] | None]] = []
    for other in (side for side in ("base", "champion") if side in suite["summaries"]):
        lines.append((f"against {other}", None))
        lines += [(TITLES[c["metric"]], c) for c in suite["comparisons"] if c["against"] == other]
        for groups in (suite["by_task"], suite["by_slice"]):
            for name, group in groups.items() if len(groups) > 1 else ():
                clusters = group["summaries"]["candidate"]["clusters"]
                compared = next(c for c in group["comparisons"] if c["against"] == other)
                lines.append((f"{TITLES[primary]}, {_plain(name)} ({clusters})", compared))
    return lines


def _plain(name: str) -> str:
    """A label that matplotlib does not read as mathematics, printable and short."""
    shown = "".join(character if character.isprintable() else "?" for character in name).replace("$", r"\$")
    return shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"


def _canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure without pyplot, so that nothing global is touched and nothing has to be closed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _title(axes: "Axes", report: Mapping[str, Any], detail: str) -> None:
    outcome = report["verdict"]["outcome"]
    axes.set_title(
        f"{_plain(report['specialization'])}: {outcome}", loc="left", color=OUTCOME_COLORS[outcome], weight="bold"
    )
    axes.set_title(_plain(detail), loc="right", fontsize=9, color=OPEN)


def _save(figure: "Figure", path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})

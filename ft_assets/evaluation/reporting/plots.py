"""The pictures of a report. matplotlib with the Agg backend: no display, the same bytes for the same numbers."""

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ft_assets.evaluation.reporting.report_numbers import metric_title, side_title
from ft_assets.evaluation.reporting.report_sections import mark_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, GRID = "#22262c", "#6a727e", "#e2e5ea"
COLORS = {"better": "#1f7a4d", "worse": "#b3362a", "": "#7a828e"}
OUTCOME_COLORS = {"promote": COLORS["better"], "reject": COLORS["worse"], "hold": SOFT, "not evaluated": "#9a6a00"}
SIDE_COLORS = {
    "candidate": "#2f6fb0", "champion": "#e0a458", "base": "#b3b9c4", "base_with_examples": "#8d97a8",
    "nearest_answer": "#d9c9b0",
}  # fmt: skip
DOTS_PER_INCH = 130
MOST_GROUPS = 40  # of a picture that a page can show; the table has all
LONGEST_LABEL = 40


def pictures_of(report: Mapping[str, Any]) -> dict[str, bytes]:
    """File name to PNG of every picture that has something to show."""
    drawn = {"metrics.png": metrics_plot(report), "forest.png": forest_plot(report)}
    if report["interference"]:
        drawn["interference.png"] = interference_plot(report)
    return drawn


def metrics_plot(report: Mapping[str, Any]) -> bytes:
    """Bars with 95 % intervals of every rate of the judged suite, per side."""
    suite = report["suites"][report["judged_suite"]]
    rates = [name for name in suite["figures"] if report["metrics"][name]["unit"] == "rate"]
    sides = suite["sides"]
    figure, axes = _canvas(width=max(8.0, 1.5 + 1.5 * len(rates)), height=4.0)
    width = 0.8 / len(sides)
    for place, side in enumerate(sides):
        shown = [(at, suite["figures"][name].get(side)) for at, name in enumerate(rates)]
        bars = [(at, found) for at, found in shown if found and found["figure"] is not None]
        at = [middle + (place - (len(sides) - 1) / 2) * width for middle, _ in bars]
        axes.bar(
            at, [f["figure"] for _, f in bars], width * 0.92, color=SIDE_COLORS[side], label=side_title(side), zorder=2
        )
        for x, (_, found) in zip(at, bars, strict=True):
            if found["low"] is not None:
                axes.plot([x, x], [found["low"], found["high"]], color=INK, linewidth=1, zorder=3)
    axes.set_xticks(range(len(rates)), [plain(metric_title(name)) for name in rates], fontsize=9)
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="y", color=GRID, zorder=0)
    axes.legend(frameon=False, ncols=len(sides), loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=9)
    _title(axes, report, f"{suite['items']} questions of {report['judged_suite']}")
    return _png(figure)


def forest_plot(report: Mapping[str, Any]) -> bytes:
    """Candidate minus each other side with its 95 % interval: every rate of the judged suite, then the primary metric
    per slice against the incumbent. Green is surely better, red surely worse, grey is open."""
    lines = _forest_lines(report)
    figure, axes = _canvas(width=8.6, height=1.4 + 0.28 * len(lines))
    for place, (_, found) in enumerate(reversed(lines)):
        if found is None:
            continue
        color = COLORS[mark_of(found, found["higher_is_better"])]
        axes.plot([100 * found["low"], 100 * found["high"]], [place, place], color=color, linewidth=2.2, zorder=2)
        axes.plot(100 * found["estimate"], place, "o", color=color, markersize=6, zorder=3)
    axes.set_yticks(range(len(lines)), [label for label, _ in reversed(lines)], fontsize=9)
    for tick, (_, found) in zip(axes.get_yticklabels(), reversed(lines), strict=True):
        tick.set_fontweight("bold" if found is None else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(lines) - 0.3)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.grid(axis="x", color=GRID, zorder=0)
    axes.set_xlabel("percentage points, new model minus the other, with 95 % interval", fontsize=9)
    _title(axes, report, f"differences on {report['judged_suite']}")
    return _png(figure)


def _forest_lines(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Label and difference, top to bottom; a label without difference is a heading."""
    suite, lines = report["suites"][report["judged_suite"]], []
    for side in suite["sides"][1:]:
        found = [
            (plain(metric_title(d["metric"])), {**d, **report["metrics"][d["metric"]]})
            for d in suite["differences"]
            if d["against"] == side and report["metrics"][d["metric"]]["unit"] == "rate"
        ]
        lines += [(f"against {side_title(side)}", None), *found] if found else []
    about = report["metrics"][report["primary_metric"]]
    parts = [part for part in report["slices"] if part["difference"] and about["unit"] == "rate"]
    largest = sorted(parts, key=lambda part: -part["clusters"])[:MOST_GROUPS]
    slices = [
        (plain(f"{part['by'].replace('_', ' ')} {part['name']} ({part['clusters']})"), {**part["difference"], **about})
        for part in parts
        if part in largest
    ]
    heading = f"{metric_title(report['primary_metric'])} by group, against {side_title(report['incumbent'])}"
    heading += f", the {MOST_GROUPS} largest of {len(parts)}" if len(parts) > MOST_GROUPS else ""
    return [*lines, *([(heading, None), *slices] if slices else [])]


def interference_plot(report: Mapping[str, Any]) -> bytes:
    """Heat map: a row per comparison of this candidate (and per other line, where its report is known), a column per
    golden set of another specialization; the number is the difference in points, bold where it is shown."""
    rows = _interference_rows(report)
    columns = sorted({of for cells in rows.values() for of in cells})
    largest = max([0.02, *(abs(cell[0]) for cells in rows.values() for cell in cells.values())])
    figure, axes = _canvas(width=max(8.6, 3.4 + 1.5 * len(columns)), height=1.5 + 0.55 * len(rows))
    values = [[rows[row].get(of, (math.nan, ""))[0] for of in columns] for row in rows]
    axes.imshow(values, cmap="RdYlGn", vmin=-largest, vmax=largest, aspect="auto", alpha=0.75)
    for y, row in enumerate(rows):
        for x, of in enumerate(columns):
            value, mark = rows[row].get(of, (math.nan, ""))
            text = "–" if math.isnan(value) else f"{100 * value:+.1f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=9, weight="bold" if mark else "normal", color=INK)
    axes.set_xticks(range(len(columns)), [plain(of) for of in columns], fontsize=9)
    axes.set_yticks(range(len(rows)), [plain(row) for row in rows], fontsize=9)
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel(
        "golden set of; difference in percentage points, bold where its 95 % interval leaves out 0", fontsize=9
    )
    _title(axes, report, "interference with other roles")
    return _png(figure)


def _interference_rows(report: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, str]]]:
    """Row label to column to (difference, "better", "worse" or "")."""
    rows: dict[str, dict[str, tuple[float, str]]] = {}
    for cell in report["interference"]:
        about = report["metrics"][cell["metric"]]
        if about["unit"] == "rate":
            row = f"{report['specialization']}, against {side_title(cell['against'])}"
            rows.setdefault(row, {})[cell["of"]] = (cell["estimate"], mark_of(cell, about["higher_is_better"]))
    for line, cells in sorted(report["other_lines"].items()):
        rows[f"{line}, newest report"] = {of: (value, "") for of, value in cells.items()}
    return rows


def plain(name: str) -> str:
    """A label that matplotlib does not read as mathematics, printable and short."""
    shown = "".join(character if character.isprintable() else "?" for character in name)
    shown = shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"
    return shown.replace("$", r"\$")


def _canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure without pyplot, so that nothing global is touched and nothing has to be closed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _title(axes: "Axes", report: Mapping[str, Any], detail: str) -> None:
    outcome = report["verdict"]["outcome"]
    told = plain(f"{report['specialization']}: {outcome}")
    axes.set_title(told, loc="left", color=OUTCOME_COLORS[outcome], weight="bold", fontsize=11)
    axes.set_title(plain(detail), loc="right", fontsize=9, color=SOFT)


def _png(figure: "Figure") -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()

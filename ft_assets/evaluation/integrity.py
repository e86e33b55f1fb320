"""What a stored report must show about itself before anybody relies on its verdict."""

import math
from collections.abc import Mapping
from typing import Any

NUMBERS = ("rouge_l", "exact_match", "answer_nll", "answer_tokens_right", "n_tokens")


def integrity_problems(report: Mapping[str, Any]) -> list[str]:
    """Why a report's verdict may not be used, one sentence each; empty when it may.

    `report` is the content of report.json. Looked at: a judged suite with rows, and for each row of each suite a finite
    score of every model that the report compares.
    """
    sides = sorted(report["models"])
    problems = []
    if not report["suites"].get(report["judged_suite"], {}).get("rows"):
        problems.append(f"The suite that decides, {report['judged_suite']!r}, holds no row.")
    for name, suite in report["suites"].items():
        for side in sides:
            odd = [row["row_id"] for row in suite["rows"] if not _finite(row.get(side))]
            if odd:
                problems.append(f"Suite {name}: {len(odd)} rows have no finite score of the {side} (first: {odd[0]}).")
        ids = [row["row_id"] for row in suite["rows"]]
        if len(set(ids)) != len(ids):
            problems.append(f"Suite {name}: {len(ids) - len(set(ids))} rows are counted twice.")
    return problems


def _finite(score: Mapping[str, Any] | None) -> bool:
    return score is not None and all(
        isinstance(score.get(name), int | float) and math.isfinite(score[name]) for name in NUMBERS
    )

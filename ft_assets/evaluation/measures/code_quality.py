"""How the Python in an answer reads to tools: whether it parses, what ruff finds in it, how many paths it has.

These metrics apply to rows whose reference holds Python: there an answer without any is worth nothing, elsewhere code
was not asked for. Nothing is run.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.measures.code_blocks import parsed, python_blocks
from ft_assets.evaluation.metric import Answered, Metric, Points, each
from ft_assets.evaluation.prediction import Prediction

# Ruff's defaults (pycodestyle's errors, Pyflakes) and flake8-bugbear: likely mistakes, not taste.
_LINT_RULES = "E4,E7,E9,F,B"
_LINT_TARGET = "py311"


def _syntax(item: EvalItem, prediction: Prediction) -> Points | None:
    """Mean over the answers of the share of Python blocks that parse, with the grammar of the Python that evaluates; no
    block is 0.

    CPython's own parser (`ast.parse`). An unfenced answer counts as one block when all of it is Python.
    """
    if not python_blocks(item.reference):
        return None
    blocks = python_blocks(prediction.answer)
    return Points(sum(parsed(block) is not None for block in blocks) / max(1, len(blocks)), 1.0)


def _complexity(item: EvalItem, prediction: Prediction) -> Points | None:
    """Mean over the answers of the mean cyclomatic complexity of an answer's functions and methods: 1 plus their
    decision points.

    McCabe 1976, "A Complexity Measure"; counted by radon. Does not apply to an answer without a function that parses.
    """
    from radon.complexity import cc_visit_ast
    from radon.visitors import Class

    if not python_blocks(item.reference):
        return None
    counted: list[int] = []
    for tree in filter(None, map(parsed, python_blocks(prediction.answer))):
        try:
            counted += [found.complexity for found in cc_visit_ast(tree) if not isinstance(found, Class)]
        except RecursionError:  # nested deeper than radon can walk, however it parsed
            continue
    return Points(sum(counted) / len(counted), 1.0) if counted else None


def _lint(rows: Sequence[Answered]) -> list[Points | None]:
    """Mean over the answers of the share of lines of code, blank ones left out, in which ruff finds nothing; no code
    is 0.

    Rules: pycodestyle's errors E4, E7 and E9, Pyflakes F, flake8-bugbear B; `noqa` in an answer is not heeded. A block
    that does not parse has no clean line. A finding that spans lines counts on each of them.
    """
    blocks = [python_blocks(row.prediction.answer) for row in rows]
    flagged = iter(_flagged_lines([block for found in blocks for block in found]))
    points: list[Points | None] = []
    for row, found in zip(rows, blocks, strict=True):
        lines = [(block.splitlines(), next(flagged)) for block in found]
        code = [(number in bad) for texts, bad in lines for number, text in enumerate(texts, 1) if text.strip()]
        scored = Points(code.count(False) / max(1, len(code)), 1.0)
        points.append(scored if python_blocks(row.item.reference) else None)
    return points


CODE_SYNTAX = Metric("code_syntax", "rate", True, each(_syntax))
CODE_LINT = Metric("code_lint", "rate", True, _lint)
CODE_COMPLEXITY = Metric("code_complexity", "count", False, each(_complexity))


def _flagged_lines(blocks: Sequence[str]) -> list[set[int]]:
    """For each block the numbers, from 1, of the lines in which ruff finds something; one ruff for all of them."""
    flagged: list[set[int]] = [set() for _ in blocks]
    with tempfile.TemporaryDirectory() as folder:
        for number, block in enumerate(blocks):
            if parsed(block) is None:
                flagged[number] = set(range(1, len(block.splitlines()) + 1))
            else:
                (Path(folder) / f"{number}.py").write_text(block, encoding="utf-8")
        for finding in _ruff(folder):
            first, last = finding["location"]["row"], finding["end_location"]["row"]
            flagged[int(Path(finding["filename"]).stem)] |= set(range(first, last + 1))
    return flagged


def _ruff(folder: str) -> list[dict]:
    options = ["--isolated", "--no-cache", "--ignore-noqa", "--exit-zero", "--output-format=json"]
    rules = [f"--select={_LINT_RULES}", f"--target-version={_LINT_TARGET}"]
    command = [sys.executable, "-m", "ruff", "check", *options, *rules, "."]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if found.returncode != 0:
        raise BadConfiguration(
            f"ruff ended with code {found.returncode}, so code_lint cannot be measured. Is ruff installed beside "
            f"this Python (the extra `train` has it)? Its last words: {found.stderr.strip()[-200:]}"
        )
    return list(json.loads(found.stdout))

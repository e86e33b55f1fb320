"""An evaluation in a process of its own, which a test kills: `python -m ft_assets_tests.defs.evaluating <folder>`."""

import sys
from pathlib import Path

import dagster as dg
import pytest

from ft_assets_tests.defs.evaluated_lines import EvaluatedLines

if __name__ == "__main__":
    where = Path(sys.argv[1])
    with dg.DagsterInstance.local_temp(str(where / "dagster")) as instance, pytest.MonkeyPatch.context() as patch:
        lines = EvaluatedLines(where, instance, patch)
        lines.load_line()
        lines.evaluate()

"""CPU seconds to load the definitions, beside those of `import dagster` alone: medians of seven processes each.

    python benchmarks/definitions_load.py

Every step, sensor tick and `dg` command pays this; the bar is 1.5 CPU-seconds.
"""

import statistics
import subprocess
import sys

ASK = "import time; {}; print(time.process_time())"
WHAT = {"import dagster": "import dagster", "definitions": "import ft_assets.definitions as d; d.defs()"}


def main() -> None:
    taken: dict[str, list[float]] = {name: [] for name in WHAT}
    for _ in range(7):  # in turn, so that a slow phase of the machine meets both
        for name, code in WHAT.items():
            out = subprocess.run([sys.executable, "-c", ASK.format(code)], capture_output=True, text=True, check=True)
            taken[name].append(float(out.stdout))
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name, seconds in medians.items():
        print(f"{name:16s} {seconds:.2f} CPU-s (median of 7, {min(taken[name]):.2f} to {max(taken[name]):.2f})")
    print(f"definitions cost {medians['definitions'] / medians['import dagster']:.1f} x what Dagster alone costs")


if __name__ == "__main__":
    main()

"""What training costs on a CPU: TRL with its defaults, this project, and a loop by hand, on the same rows.

    python benchmarks/training.py [--sizes 4M 60M] [--repeat 5] [--json FILE]

Each side runs in a process of its own, in turn, so that a slow phase of the machine meets all of them; figures are
medians. Tokens are those of the conversations, padding left out; CPU seconds are those of the steps, of all threads;
memory is the process's peak, libraries included. The loss on held-out rows stands beside each figure: a fast side that
learned nothing does not count. Ends with exit code 1 when a bar is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from training_models import TINY, write_random_model
from training_sides import SIDES

ROWS = {"toy": 60, "4M": 300, "60M": 80}
LEAST_SPEED_UP = 3.0  # over TRL's defaults, in tokens per CPU second
MOST_MEMORY = {"60M": 0.6}  # of that of TRL's defaults
MOST_OVERHEAD = {"4M": 1.5, "60M": 1.15}  # times the cost of the loop by hand
LEAST_FALL = 0.9  # of the fall of the held-out loss under TRL's defaults: as much was learned

Figures = dict[str, float]


def measured(side: str, size: str, base: Path, rows: int) -> Figures:
    """One run of one side, in a process of its own, on one thread."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]),
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
    }
    script = Path(__file__).with_name("training_sides.py")
    command = [sys.executable, str(script), side, size, str(base), str(rows)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} at {size} failed ({done.returncode}):\n{done.stderr[-4000:]}")
    found: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def medians(runs: list[Figures]) -> Figures:
    """The median of each figure."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def bars(size: str, sides: dict[str, Figures]) -> list[tuple[str, bool]]:
    """Each bar in words with its figure, and whether it is passed."""
    trl, ours, hand = (sides[side] for side in ("trl", "ours", "hand"))
    speed_up = ours["tokens_per_cpu_second"] / trl["tokens_per_cpu_second"]
    overhead = hand["tokens_per_cpu_second"] / ours["tokens_per_cpu_second"]
    memory = ours["peak_mb"] / trl["peak_mb"]
    fall, wanted = ours["loss_before"] - ours["loss"], LEAST_FALL * (trl["loss_before"] - trl["loss"])
    told = [(f"{speed_up:.2f} x TRL's defaults, at least {LEAST_SPEED_UP:g}", speed_up >= LEAST_SPEED_UP)]
    if size in MOST_OVERHEAD:
        most = MOST_OVERHEAD[size]
        told.append((f"{overhead:.2f} x the cost of the loop by hand, at most {most:g}", overhead <= most))
    if size in MOST_MEMORY:
        most = MOST_MEMORY[size]
        told.append((f"{memory:.2f} x the memory of TRL's defaults, at most {most:g}", memory <= most))
    losses = f"held-out loss {ours['loss_before']:.2f} to {ours['loss']:.2f}, TRL's to {trl['loss']:.2f}"
    told.append((losses, fall >= wanted > 0))
    return told


def report(size: str, rows: int, sides: dict[str, Figures]) -> bool:
    """Prints the table of one size; whether every bar is passed."""
    print(f"\n{size}, {rows} rows")
    print(f"{'side':6s} {'tokens per CPU-s':>17s} {'CPU-s':>7s} {'steps':>6s} {'peak MB':>8s} {'held-out loss':>14s}")
    for side, figures in sides.items():
        print(
            f"{side:6s} {figures['tokens_per_cpu_second']:17,.0f} {figures['cpu_seconds']:7.1f} "
            f"{figures['steps']:6.0f} {figures['peak_mb']:8,.0f} {figures['loss']:14.3f}"
        )
    passed = True
    for words, held in bars(size, sides):
        print(f"{'pass' if held else 'FAIL'}: {words}")
        passed = passed and held
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=sorted(ROWS), default=["4M", "60M"])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rows", type=int, help="of each size; default " + str(ROWS))
    parser.add_argument("--json", type=Path, help="write all runs there")
    arguments = parser.parse_args()
    everything: dict[str, Any] = {}
    passed = True
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            base = TINY if size == "4M" else write_random_model(size, Path(folder, size))
            rows = arguments.rows or ROWS[size]
            runs: dict[str, list[Figures]] = {side: [] for side in SIDES}
            for number in range(arguments.repeat):
                for side in SIDES:
                    runs[side].append(measured(side, size, base, rows))
                    print(f"{size} {side} {number + 1}/{arguments.repeat}", file=sys.stderr, flush=True)
            everything[size] = runs
            passed = report(size, rows, {side: medians(found) for side, found in runs.items()}) and passed
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2) + "\n")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()

"""What the demo's recipe reaches from the shipped base and data, seed by seed.

    python benchmarks/demo_recipe.py [seeds, default 3]

The project's own ingest, curation, split, training and evaluation, without Dagster. Per seed: a model of batch 1, a
model of both batches, and the gate's verdict on the second against the first. Also the largest near-duplicate cluster
of the second snapshot (word 5-grams, Jaccard 0.8 in prompt and in answer, transitive), by brute force.
"""

import itertools
import re
import statistics
import sys
import tempfile
from pathlib import Path

import polars as pl

from ft_assets.curation.curate import curate
from ft_assets.curation.tokens import token_counter
from ft_assets.dataset.contamination import golden_rows
from ft_assets.dataset.rows import SnapshotRow, read_side
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.evaluation.asking.backend import questions_of
from ft_assets.evaluation.asking.model_to_ask import ModelToAsk
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.evaluation.deciding.paired_points import paired_points
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.metrics import metrics_named
from ft_assets.evaluation.score import RowScore, score_rows, summarize, summarize_by
from ft_assets.evaluation.statistics import rate_difference
from ft_assets.evaluation.suites import golden_items
from ft_assets.ingest.landing import ingest_day
from ft_assets.lake import Lake
from ft_assets.specializations.loader import load_specializations
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.train import train

ROOT = Path(__file__).resolve().parent.parent
SPEC = load_specializations(ROOT / "ft_assets" / "specializations", ROOT)["software-developer"]
PROMPT = SPEC.system_prompt.as_written()
BASE = ROOT / "data" / "tiny_base"

MEASURED = metrics_named(["rouge_l", "exact_match", "token_accuracy", "perplexity"])


def snapshot_of(batches: list[str], folder: Path) -> Path:
    """Ingests, curates and splits the bundled batches."""
    lake = Lake(str(folder / "lake"), folder / "cache")
    for batch in batches:
        for path in sorted((ROOT / "data" / batch).glob("*/*")):
            lake.land(path.parent.name, path.name, path.read_bytes())
    known: dict[str, str] = {}
    frames = []
    for day in lake.landing_days():
        rows = ingest_day(lake, day, known).rows
        known |= dict.fromkeys(rows["interaction_id"], day)
        frames.append(rows)
    counter = token_counter(ROOT / "data" / "tiny_base" / "tokenizer.json")
    examples = curate(pl.concat(frames), count_tokens=counter.count).examples
    out = folder / "snapshot"
    out.mkdir()
    golden = golden_rows(SPEC.evaluation.golden_set)
    build_snapshot(examples, SPEC.select, "ft_assets", SPEC.split, golden, PROMPT, out)
    return out


def scores(adapter: Path | None, items: list[EvalItem]) -> list[RowScore]:
    backend = TransformersBackend(ModelToAsk(str(adapter), BASE, adapter), SPEC.evaluation.max_new_tokens)
    said = [one for batch in backend.batches(questions_of(items, PROMPT)) for one in batch.predictions]
    return score_rows(items, said, MEASURED)


def trained(snapshot: Path, seed: int, folder: Path) -> Path:
    recipe = SPEC.recipe.model_copy(update={"seed": seed})
    train(
        base_dir=BASE,
        rows=TrainingRows(SideRows(read_side(snapshot, "train")), SideRows(read_side(snapshot, "validation"))),
        recipe=recipe,
        work_dir=folder / "work",
        checkpoints=lambda stage: CheckpointSaver(LocalCheckpoints(folder / "work" / stage, "0" * 64)),
        out_dir=folder / "adapter",
        system_prompt=PROMPT,
        on_progress=lambda _: None,
        provenance={"snapshot": snapshot.name, "base_id": "tiny-base", "base_digest": "shipped"},
    )
    return folder / "adapter"


def largest_cluster_share(rows: list[SnapshotRow]) -> float:
    """Share of the rows in the largest group that near-duplicates connect."""
    shingled = [(shingles(row.messages[0].content), shingles(row.messages[-1].content)) for row in rows]
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in itertools.combinations(range(len(rows)), 2):
        if all(len(x & y) >= 0.8 * len(x | y) for x, y in zip(shingled[a], shingled[b], strict=True)):
            parent[root(a)] = root(b)
    groups = [root(i) for i in range(len(rows))]
    return max(groups.count(group) for group in set(groups)) / len(rows)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def line(name: str, rows: list[RowScore]) -> str:
    figures = summarize(rows, MEASURED).figures
    return f"{name:42s} " + "  ".join(f"{metric} {figure:.3f}" for metric, figure in figures.items())


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    items = golden_items(golden_rows(SPEC.evaluation.golden_set))
    reached, better = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("first", "both"):
            (folder / part).mkdir()
        first = snapshot_of(["landing"], folder / "first")
        both = snapshot_of(["landing", "landing_second"], folder / "both")
        rows = [row for side in ("train", "validation", "eval") for row in read_side(both, side)]
        print(f"largest near-duplicate cluster: {100 * largest_cluster_share(rows):.2f} % of {len(rows)} rows")
        base = scores(None, items)
        for slice_name in summarize_by(base, "slice", MEASURED):
            print(line(f"base, {slice_name}", [row for row in base if row.facets["slice"] == slice_name]))
        for seed in range(seeds):
            old = scores(trained(first, seed, folder / f"{seed}-first"), items)
            new = scores(trained(both, seed, folder / f"{seed}-both"), items)
            for slice_name in summarize_by(new, "slice", MEASURED):
                its = [row for row in new if row.facets["slice"] == slice_name]
                print(line(f"seed {seed}, both batches, {slice_name}", its))
            pairs = paired_points(new, old, SPEC.gate.primary_metric)
            gain = rate_difference(pairs.candidate, pairs.other, pairs.possible, pairs.clusters)
            print(f"seed {seed}: second over first {gain.estimate:+.3f} [{gain.low:.3f}, {gain.high:.3f}]", flush=True)
            combinations = [row for row in new if row.facets["slice"] == "new_combination"]
            reached.append(summarize(combinations, MEASURED).figures["exact_match"])
            better.append(gain.low > 0)
    print(f"second over first: shown to be better in {sum(better)} of {seeds} seeds")
    print(f"exact match on new combinations, median seed: {statistics.median(reached):.3f}")


if __name__ == "__main__":
    main()

"""What the demo says at its end, read back from the lake and from the instance: nothing is remembered in between."""

import json
from typing import Any

import dagster as dg
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from ft_assets.lake import Lake

METRICS = {
    "rouge_l": "ROUGE-L",
    "exact_match": "exact match",
    "token_accuracy": "token acc.",
    "perplexity": "perplexity",
}


def print_summary(console: Console, instance: dg.DagsterInstance, lake: Lake, line: str) -> None:
    """Data, both snapshots, both models, and what to open next."""
    console.print()
    console.print(data_table(lake))
    models = materializations(instance, "registered_model", line)
    console.print(snapshot_table(lake, materializations(instance, "train_eval_split", line)))
    reports = [
        json.loads((lake.artifact("report", record["report_digest"]).path / "report.json").read_text())
        for record in models
    ]
    console.print(model_table(models, reports))
    for record in models:
        console.print(f"{record['name']}  {record['verdict']}", markup=False, soft_wrap=True)
    console.print(waiting_lines(instance), style="dim", soft_wrap=True)
    console.print(
        "\nOpen next:  make dev, then http://127.0.0.1:3000 (Assets, Lineage, Runs, Automation) "
        "and http://127.0.0.1:5500 (MLflow: experiments and registered models)",
        soft_wrap=True,
    )


def data_table(lake: Lake) -> Table:
    rows_in = lake.scan("raw_interactions").select(pl.len()).collect().item()
    curated = lake.scan("curated_examples").select("high_score").collect()
    rejected = lake.scan("rejections").group_by("stage", "rule").len().sort("len", descending=True).collect()
    table = Table("data", "rows", title="What came in, and what became of it", title_justify="left", box=box.SIMPLE)
    table.add_row("records that landed", str(rows_in + rejected.filter(pl.col("stage") == "ingest")["len"].sum()))
    table.add_row("interactions read", str(rows_in))
    table.add_row("examples kept", str(curated.height))
    table.add_row("  of them high-score", str(curated["high_score"].sum()))
    for stage, rule, count in rejected.rows():
        table.add_row(f"  rejected at {stage}: {rule}", str(count))
    return table


def snapshot_table(lake: Lake, snapshots: list[dict[str, Any]]) -> Table:
    table = Table(
        "snapshot",
        "train",
        "validation",
        "eval",
        "tasks without enough rows",
        title="Splits",
        title_justify="left",
        box=box.SIMPLE,
    )
    for record in snapshots:
        sides, gaps = record["rows_by_side"], record["coverage_gaps"]
        named = ", ".join(f"{task} ({rows})" for task, rows in gaps.items()) or "none"
        table.add_row(
            record["digest"][:12], *(str(sides.get(side, 0)) for side in ("train", "validation", "eval")), named
        )
    return table


def model_table(models: list[dict[str, Any]], reports: list[dict[str, Any]]) -> Table:
    """One row per model, opponent and metric, on the suite that decides; intervals are 95 %, paired, by cluster."""
    table = Table(
        "model",
        "against",
        "metric",
        "it",
        "other",
        "diff.",
        "95 % interval",
        title_justify="left",
        box=box.SIMPLE,
    )
    table.title = f"On the {reports[-1]['judged_suite']}"
    for record, report in zip(models, reports, strict=True):
        suite = report["suites"][report["judged_suite"]]
        version = record["name"].split("-")[-2]
        for difference in suite["differences"]:
            metric, other = difference["metric"], difference["against"]
            if metric not in METRICS or other not in ("champion", "base"):
                continue
            figures = suite["figures"][metric]
            sign, digits = ("x ", ".2g") if difference["ratio"] else ("", "+.3f")
            table.add_row(
                version,
                other,
                METRICS[metric],
                f"{figures['candidate']['figure']:.3g}",
                f"{figures[other]['figure']:.3g}",
                f"{sign}{difference['estimate']:{digits}}",
                f"{sign}{difference['low']:{digits}} {difference['high']:{digits}}",
            )
    return table


def waiting_lines(instance: dg.DagsterInstance) -> str:
    """The last explanation of the sensor: why the other lines were not trained."""
    for state in instance.all_instigator_state():
        if state.instigator_name != "new_high_score_samples":
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=20)
        reasons = [tick.skip_reason for tick in ticks if tick.skip_reason]
        if reasons:
            return "The sensor new_high_score_samples last said:\n" + "\n".join(
                f"  {line}" for line in reasons[0].splitlines()
            )
    return "The sensor new_high_score_samples has not skipped yet."


def materializations(instance: dg.DagsterInstance, asset: str, partition: str) -> list[dict[str, Any]]:
    """The metadata of each materialization, oldest first, as plain values."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition]), limit=50, ascending=True
    ).records
    found = (record.asset_materialization for record in records)
    return [{key: value.value for key, value in made.metadata.items()} for made in found if made]

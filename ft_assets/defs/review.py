import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from ft_assets.defs.conventions import DATA_ENG, SETTINGS
from ft_assets.defs.curation import curated_examples
from ft_assets.defs.judging import judge_scores
from ft_assets.lake import Lake
from ft_assets.rules_file import read_rules

if TYPE_CHECKING:
    import polars as pl

PREVIEW_ROWS = 10
PREVIEW_CHARACTERS = 160


@dg.asset(
    deps=[dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping()) for table in (curated_examples, judge_scores)],
    group_name="review",
    kinds={"polars", "json"},
    owners=DATA_ENG,
)
def review_queue(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One row per example that is most worth a person's look, with its reasons, as files that people edit.

    From all days of `curated_examples`: votes that conflict, a judge and people that disagree, scores near their bar,
    clusters that are new. Few of one cluster or user, none that a person has decided on. Fill in verdict (accept or
    reject) or corrected_output, and reviewer, and drop the file into `landing/<day>/`: what was filled in becomes
    feedback, and the days it is about are curated again. Masked text only. See docs/review.md.
    Fails when `curated_examples` was never materialized, or the section `review` of FT_ASSETS_RULES cannot be used.
    """
    from ft_assets.curation.review import ReviewRules, review_queue, with_texts
    from ft_assets.curation.review_files import write_review_files
    from ft_assets.curation.rules import CurationRules

    rules = read_rules(SETTINGS.rules, "review", ReviewRules)
    curated = lake.scan("curated_examples")
    queue = review_queue(curated, rules, read_rules(SETTINGS.rules, "curation", CurationRules))
    rows = with_texts(queue, lake.scan("curated_examples", {"day": queue["day"].unique().to_list()}))
    with tempfile.TemporaryDirectory() as folder:
        write_review_files(rows, Path(folder))
        review = lake.put_artifact("review", Path(folder))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(review.digest),
        metadata={
            "digest": review.digest,
            "path": dg.MetadataValue.path(str(review.path)),
            "dagster/row_count": rows.height,
            "rows_by_reason": dict(queue["reasons"].explode().drop_nulls().value_counts(sort=True).iter_rows()),
            "first_rows": dg.MetadataValue.md(preview(rows)),
        },
    )


def preview(rows: "pl.DataFrame") -> str:
    """The first rows as a Markdown table in which no text can be more than text."""
    from ft_assets.evaluation.reporting.markdown import inline

    shown = ("priority", "reasons", "task_type", "question", "answer")
    lines = [f"| {' | '.join(shown)} |", f"|{'---|' * len(shown)}"]
    for row in rows.head(PREVIEW_ROWS).iter_rows(named=True):
        values = row | {"reasons": ", ".join(row["reasons"])}
        lines.append(f"| {' | '.join(inline(str(values[name] or '')[:PREVIEW_CHARACTERS]) for name in shown)} |")
    return "\n".join(lines)

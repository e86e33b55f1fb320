import json
from pathlib import Path
from typing import Any

import dagster as dg

from ft_assets.defs.conventions import MODEL_LINES, pinned, specialization
from ft_assets.defs.training import lora_checkpoint
from ft_assets.errors import IncompleteArtifact
from ft_assets.lake import Lake
from ft_assets.specializations.choice import golden_of, why_skipped
from ft_assets.specializations.loader import Specialization
from ft_assets.training.recipe_ranges import stages_of

KIND_OF = {"sft": "examples", "dpo": "pairs", "kto": "judged"}  # what each objective learns from


@dg.asset_check(asset=lora_checkpoint, partitions_def=MODEL_LINES, blocking=True)
def trained_on_no_eval_row(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """The trainer received the rows of its snapshot's sides, all of them and no other, and nothing of what judges it.

    Compared are ids, and digests of the texts that were encoded, so that a copy of an eval or golden row is found under
    any id. The training writes both into its artifact, in `received.json`.
    """
    from ft_assets.dataset.received_rows import received_problems, told

    spec = specialization(context)
    if reason := why_skipped(spec):
        return dg.AssetCheckResult(passed=True, metadata={"status": "SKIPPED", "reason": reason})
    digest = pinned(context, "lora_checkpoint")
    asked = what_it_received(lake, spec, digest)
    problems = received_problems(**asked)
    sides = asked["received"].items()
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={
            "adapter": digest,
            "received": {f"{side}/{kind}": len(rows) for side, kinds in sides for kind, rows in kinds.items()},
            "problems": len(problems),
            "first": dict(list(problems.items())[:20]),
        },
        description=f"{told(problems)} Nothing is evaluated: materialize train_eval_split and lora_checkpoint again."
        if problems
        else None,
    )


def refuse_eval_rows(lake: Lake, spec: Specialization, digest: str) -> None:
    """The guard behind `trained_on_no_eval_row`, asked again by whoever reads a trained model.

    Raises:
        LeakFound: the training received a row that judges its model, or other rows than its snapshot's.
        IncompleteArtifact: the artifact does not say what was received; materialize lora_checkpoint again.
    """
    from ft_assets.dataset.received_rows import refuse_received

    refuse_received(**what_it_received(lake, spec, digest))


def what_it_received(lake: Lake, spec: Specialization, digest: str) -> dict[str, Any]:
    """The arguments of `received_problems` for a trained model, from its artifact and the snapshot that it names."""
    from ft_assets.training.received import RECEIVED_FILE

    folder = lake.artifact("adapter", digest).path
    origin = read_record(folder, "provenance.json")
    return {
        "received": read_record(folder, RECEIVED_FILE),
        "snapshot_dir": lake.artifact("snapshot", origin["snapshot"]).path,
        "golden": golden_of(spec, lake),
        "kinds": [KIND_OF[objective] for objective in stages_of(origin["recipe"]["approach"])],
    }


def read_record(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a trained model's artifact."""
    if not (folder / name).is_file():
        raise IncompleteArtifact(
            f"{folder / name} does not exist, so nobody can say what this model was trained on, and it is not "
            "evaluated. Materialize lora_checkpoint again."
        )
    found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return found

"""What MLflow keeps of runs and versions that held a person's rows: their artifacts go, numbers and tags stay."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ft_assets.erasure.found import Found
from ft_assets.errors import Rerunnable
from ft_assets.lake_artifacts import ERASED
from ft_assets.tracking import Tracking
from ft_assets.tracking_delivery import failures
from ft_assets.tracking_journal import taken

if TYPE_CHECKING:
    from mlflow import MlflowClient

WEIGHTS = "adapter"  # an uploaded copy of the adapter, which stays like the adapter itself
RUNS_PER_PAGE = 1_000
LEFT = {"erased": "by request: these files were made from rows of a person who asked to be forgotten"}


def erase_mlflow(tracking: Tracking, found: Found, dry_run: bool) -> dict[str, list[str]]:
    """Run id to the artifacts that went, or would go in a dry run.

    Raises:
        Rerunnable: MLflow does not answer; nothing else is held up, and running again finishes it.
    """
    erase_spool(tracking, found, dry_run)
    if not (found.snapshots or found.models):
        return {}
    try:
        return _erased(tracking.client(), found, dry_run)
    except failures() as error:
        raise Rerunnable(
            f"MLflow does not answer ({type(error).__name__}), so its copies are still there. Run forget again when it "
            "does; everything else is done already."
        ) from error


def erase_spool(tracking: Tracking, found: Found, dry_run: bool) -> int:
    """Takes the artifacts out of journals that wait for MLflow; how many there were. One that a live run writes to is
    left to it."""
    count = 0
    for path in sorted(tracking.spool_dir.glob("*.jsonl")):
        journal = taken(path)
        if journal is None:
            continue
        record = journal.record()
        snapshot = (record.header or {}).get("tags", {}).get("snapshot")
        if snapshot in found.snapshots and record.end and record.end["artifacts"]:
            count += 1
            if not dry_run:
                note = base64.b64encode(json.dumps(LEFT).encode()).decode()
                lines = [record.header, *record.entries, {**record.end, "artifacts": {ERASED: note}}]
                path.write_text("".join(f"{json.dumps(line, sort_keys=True)}\n" for line in lines))
        journal.close()
    return count


def _erased(client: "MlflowClient", found: Found, dry_run: bool) -> dict[str, list[str]]:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    done: dict[str, list[str]] = {}
    for run_id, location in sorted(set(_runs(client, found))):
        repository = get_artifact_repository(location, tracking_uri=client.tracking_uri)
        files = [item.path for item in repository.list_artifacts() if item.path not in (WEIGHTS, ERASED)]
        if files:
            done[run_id] = files
        if dry_run or not files:
            continue
        client.log_text(run_id, json.dumps(LEFT, indent=1) + "\n", ERASED)
        for path in files:
            repository.delete_artifacts(path)
    return done


def _runs(client: "MlflowClient", found: Found) -> Iterator[tuple[str, str]]:
    """Id and artifact location of the runs that trained on these snapshots, made these models or registered them."""
    experiments = [each.experiment_id for each in client.search_experiments(max_results=RUNS_PER_PAGE)]
    wanted = [("snapshot", each) for each in found.snapshots] + [("adapter_digest", each) for each in found.models]
    for tag, digest in wanted:
        for run in client.search_runs(experiments, filter_string=f"tags.{tag} = '{digest}'", max_results=RUNS_PER_PAGE):
            yield run.info.run_id, run.info.artifact_uri
    for digest in found.models:
        versions: Any = client.search_model_versions(f"tags.adapter_digest = '{digest}'")
        for version in versions:
            if version.run_id:
                with suppress(*_gone()):
                    run = client.get_run(version.run_id)
                    yield run.info.run_id, run.info.artifact_uri


def _gone() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import RestException

    return (RestException,)

"""The dossier of a registered version: one folder for an auditor who reads it and nothing else.

index.md and index.html tell the same; beside them stand the documents that other steps wrote. It holds no text of any
logged answer and names no row: those stand in the report and the snapshot, which a person's wish to be forgotten
deletes, and the dossier stays. The same facts give the same bytes: nothing here looks at a clock, a machine or a random
number.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.errors import MissingInput
from ft_assets.lake import Artifact, Lake
from ft_assets.release.dossier_facts import AboutLine, DossierFacts, dossier_facts
from ft_assets.release.dossier_page import html, markdown
from ft_assets.release.dossier_sections import dossier_page, unknown
from ft_assets.release.registry import versions_of
from ft_assets.state import State
from ft_assets.state_registry import registrations

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND, INDEX = "dossier", "index.md"
MLFLOW_FOLDER, DIGEST_TAG, RUN_TAG = "dossier", "dossier_digest", "dossier_run_id"
# Of each artifact the files that are copied, and what each is. Texts of answers are in none of them.
OF_SPEC = {
    "training-spec.md": "what was trained, from what, how and why",
    "decisions.json": "the decision log, for machines",
}
OF_CARD = {
    "card.md": "the data card: what the rows are, for somebody who never saw them",
    "days.png": "rows by landing day",
    "funnel.png": "from the records that came in to the rows",
    "coverage.png": "rows by task",
    "tokens.png": "length of the rows",
    "scores.png": "quality scores",
}
OF_REPORT = {"metrics.png": "figures of the evaluation", "differences.png": "differences with intervals"}
ABOUT_ROWS, ABOUT_ROWS_OF_A_SUITE = ("examples", "blind"), ("rows", "missing")


def write_dossier(directory: Path, facts: DossierFacts) -> dict[str, str]:
    """Writes the dossier into `directory`; returns its other files, with what each is."""
    directory.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for folder, wanted in ((facts.spec_dir, OF_SPEC), (facts.card_dir, OF_CARD), (facts.report_dir, OF_REPORT)):
        for name, about in wanted.items():
            if folder is not None and (folder / name).is_file():
                shutil.copyfile(folder / name, directory / name)
                files[name] = about
    written = {
        "provenance.json": (facts.provenance, "what the weights were made from, as the trainer wrote it"),
        "data-recipe.json": (facts.recipe, "how the rows were chosen"),
        "data-counts.json": (facts.counts, "how many rows were chosen, and left out for which reason"),
        "evaluation.json": (
            _without_rows(facts.report),
            "every number of the evaluation; row by row they stand in its report",
        ),
        "facts.json": (_summary(facts), "who decided what and when, for machines"),
    }
    for name, (content, about) in written.items():
        if content:
            (directory / name).write_text(json.dumps(content, indent=1, sort_keys=True, default=str) + "\n", "utf-8")
            files[name] = about
    page = dossier_page(facts, files)
    (directory / INDEX).write_bytes(markdown(page).encode("utf-8", "replace"))
    (directory / "index.html").write_bytes(html(page).encode("utf-8", "replace"))
    return files


def put_dossier(
    lake: Lake,
    state: State,
    specialization: str,
    model_digest: str,
    line: AboutLine,
    documents: Mapping[str, str] | None = None,
) -> Artifact:
    """Writes the dossier of a version as things are now and stores it; the same facts give the same artifact.

    Raises:
        MissingInput: the model is not registered; materialize registered_model.
        IncompleteArtifact: the adapter is damaged or gone.
    """
    known = [each for each in registrations(state, specialization) if each.model_digest == model_digest]
    if not known:
        raise MissingInput(
            f"{model_digest[:12]} of {specialization} is not registered, so it has no version that a dossier could be "
            "about. Materialize registered_model."
        )
    facts = dossier_facts(lake, state, known[0], line, documents)
    with tempfile.TemporaryDirectory() as folder:
        write_dossier(Path(folder), facts)
        return lake.put_artifact(KIND, Path(folder))


def attach_dossier(client: "MlflowClient", name: str, adapter_digest: str, dossier: Artifact) -> str | None:
    """Gives MLflow the dossier of a version: files under `dossier/` in the version's run, where it has one, and its
    digest as the tag `dossier_digest`; returns the version's number, None while MLflow has no such version.

    Raises what the client does when MLflow does not answer; call it inside `registry.reachable`.
    """
    if not (found := versions_of(client, name, adapter_digest)):
        return None
    version = min(found, key=lambda each: int(each.version))
    if version.tags.get(DIGEST_TAG) != dossier.digest:
        run_id = version.run_id or version.tags.get(RUN_TAG) or _run_for(client, version)
        client.log_artifacts(run_id, str(dossier.path), MLFLOW_FOLDER)
        client.set_model_version_tag(name, str(version.version), DIGEST_TAG, dossier.digest)
    return str(version.version)


def _run_for(client: "MlflowClient", version: Any) -> str:
    """A run to hold the files of a version that was made from a path and has none, beside the line's trainings."""
    from ft_assets.tracking_delivery import experiment_id

    line, name = version.tags.get("specialization", version.name), version.tags.get("version_name", version.name)
    run = client.create_run(experiment_id(client, line, client.tracking_uri), run_name=f"dossier of {name}")
    client.set_terminated(run.info.run_id)
    client.set_model_version_tag(version.name, str(version.version), RUN_TAG, run.info.run_id)
    return str(run.info.run_id)


def _without_rows(report: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in report.items() if name not in ABOUT_ROWS}
    suites = {
        suite: {name: value for name, value in of_suite.items() if name not in ABOUT_ROWS_OF_A_SUITE}
        for suite, of_suite in kept.get("suites", {}).items()
    }
    return kept | ({"suites": suites} if suites else {})


def _summary(facts: DossierFacts) -> dict[str, Any]:
    return {
        "version": vars(facts.version),
        "base": dict(facts.line.base),
        "report": facts.report_digest,
        "champion": facts.is_champion,
        "evaluations": [vars(each) for each in facts.evaluated],
        "approvals": [vars(each) for each in facts.approvals],
        "promotions": [
            vars(each) for each in facts.history if facts.version.model_digest in (each.model_digest, each.previous)
        ],
        "tainted": [vars(each) for each in facts.tainted],
        "unknown": unknown(facts),
    }

"""The dossier where people browse models. A real MLflow database."""

from pathlib import Path
from typing import Any

import pytest

from ft_assets.lake import Artifact
from ft_assets.release.dossier import DIGEST_TAG, attach_dossier
from ft_assets.release.dossier_mirror import mirror_dossiers
from ft_assets.release.mirror import repair_mirror
from ft_assets.release.registry import versions_of
from ft_assets.specializations.about_line import about_line
from ft_assets_tests.command_line.installation import LINE, Installation
from ft_assets_tests.retraining.lines import a_line

pytestmark = [pytest.mark.service, pytest.mark.slow]
NAME = f"ea-{LINE}"


def a_dossier(made: Installation, said: str) -> Artifact:
    folder = made.folder / said
    folder.mkdir()
    (folder / "index.md").write_text(said)
    return made.lake.put_artifact("dossier", folder)


def test_the_version_has_the_newest_dossier_as_files_and_as_a_tag(tmp_path: Path):
    from mlflow import MlflowClient

    client: Any = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/mlflow.db")
    made = Installation(tmp_path)
    made.write_lines()
    made.curate(LINE, "2026-03-01", 0, 60)
    adapter = made.train(LINE, "one")
    made.evaluate(LINE, adapter)
    first, second = a_dossier(made, "first"), a_dossier(made, "second")
    assert attach_dossier(client, NAME, adapter.digest, first) is None, "MLflow has no such version yet"
    repair_mirror(client, made.state, made.lake, [LINE])
    for dossier in (first, second, second):
        assert attach_dossier(client, NAME, adapter.digest, dossier) == "1"
        (version,) = versions_of(client, NAME, adapter.digest)
        assert version.tags[DIGEST_TAG] == dossier.digest
        kept = client.download_artifacts(version.tags["dossier_run_id"], "dossier/index.md", str(tmp_path))
        assert Path(kept).read_text() == (dossier.path / "index.md").read_text()
    experiment = client.get_experiment_by_name(LINE)
    assert len(client.search_runs([experiment.experiment_id])) == 1, "one run for all dossiers of a version"
    assert mirror_dossiers(client, made.lake, made.state, LINE, about_line(a_line())) == [version.tags["version_name"]]
    assert mirror_dossiers(client, made.lake, made.state, LINE, about_line(a_line())) == [], "nothing happened since"
    assert repair_mirror(client, made.state, made.lake, [LINE]).renewed == [], "the mirror leaves the tags alone"

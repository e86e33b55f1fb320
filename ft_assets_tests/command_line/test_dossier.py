"""`ft-assets dossier` on an installation as the assets leave it."""

from pathlib import Path

import pytest

from ft_assets_tests.command_line.conftest import Ask
from ft_assets_tests.command_line.installation import LINE, Installation

pytestmark = pytest.mark.slow


def test_a_dossier_is_stored_and_copied_where_somebody_wants_it(installation: Installation, ask: Ask, tmp_path: Path):
    said = ask("dossier", f"{LINE}@champion", "--out", str(tmp_path / "dossier")).stdout
    assert said.strip() == str(tmp_path / "dossier" / "index.md")
    assert "champion, the model in use" in Path(said.strip()).read_text()
    assert len(installation.lake.artifacts("dossier")) == 1
    ask("dossier", f"{LINE}@champion", "--out", str(tmp_path / "dossier"), exit_code=2)


def test_machines_get_its_digest(installation: Installation, ask_json):
    answer = ask_json("dossier", f"{LINE}@previous")
    assert answer["digest"] == installation.lake.artifacts("dossier")[0]
    assert Path(answer["path"]).is_file()


def test_a_rollback_shows_in_the_next_dossier(ask: Ask, ask_json):
    before = ask_json("dossier", f"{LINE}@champion")
    ask("rollback", LINE, "--by", "Ada", "--why", "it is slow")
    after = ask_json("dossier", before["model"])
    assert before["digest"] != after["digest"]
    assert "it is slow" in Path(after["path"]).read_text()

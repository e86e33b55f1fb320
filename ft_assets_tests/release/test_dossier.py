"""A dossier answers an auditor from the model's own records, in the same bytes for the same facts."""

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ft_assets.dataset.rows import read_side
from ft_assets.erasure.artifacts import erase_artifact
from ft_assets.errors import IncompleteArtifact, MissingInput
from ft_assets.lake import Artifact
from ft_assets.release.dossier import put_dossier
from ft_assets.release.dossier_facts import AboutLine
from ft_assets.release.dossier_page import Lines, Page, Section, Table, Words, html, markdown
from ft_assets.specializations.about_line import about_line
from ft_assets.state_approvals import record_approval
from ft_assets.state_taints import taint
from ft_assets.training.training_spec import write_skipped_spec
from ft_assets_tests.command_line.installation import LINE, Installation
from ft_assets_tests.retraining.lines import a_line

pytestmark = pytest.mark.slow
HOSTILE = "<script>alert(1)</script> | [x](javascript:1) `a` **b**\n# c"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, str, str]:
    """An installation with a champion that was approved, and the digests of adapter and report."""
    made = Installation(tmp_path_factory.mktemp("dossier"))
    made.write_lines()
    made.curate(LINE, "2026-03-01", 0, 150, bad=10)
    adapter = made.train(LINE, "one", by="Grace Hopper")
    folder = made.folder / "spec"
    folder.mkdir()
    write_skipped_spec(folder, LINE, f"adapter {adapter.digest}", "made for tests", "2026-03-01")
    made.lake.put_artifact("training_spec", folder)
    report = made.evaluate(LINE, adapter)
    record_approval(made.state, LINE, adapter.digest, report.digest, "Ada Lovelace", "read it all", 14)
    made.promote(LINE, adapter, report)
    return made, adapter.digest, report.digest


def written(made: Installation, digest: str, line: AboutLine | None = None) -> Artifact:
    return put_dossier(made.lake, made.state, LINE, digest, line or about_line(a_line()))


def index(dossier: Artifact) -> str:
    return (dossier.path / "index.md").read_text()


def test_an_auditor_finds_every_answer_in_it(registered: tuple[Installation, str, str]):
    made, digest, report = registered
    told = index(written(made, digest))
    rows = made.state.last_trained(LINE).snapshot
    for expected in (
        f"adapter/{digest}",
        "champion, the model in use",
        "launched by | Grace Hopper",
        "in the tasks of every kind",
        "must not be used",
        rows,
        "rating too low | 10",
        "learning_rate | 0.003",
        "nothing is trained | made for tests",
        "promote: ",
        "golden set, on which the verdict rests: 120 questions",
        "exact match | 9",
        report,
        "Ada Lovelace",
        "promotion | 1 ",
        "base model | tiny-base | Apache-2.0",
        "training | 61.5 | 0 | 4,321 | 0.02",
        "consent the logged answers are used is not recorded",
    ):
        assert expected in told, expected
    assert re.search(r"exact match \| \d+\.\d % &#91;\d+\.\d %, \d+\.\d %&#93;", told), "figures have their intervals"


def test_the_same_facts_give_the_same_bytes_and_no_path_of_this_machine(registered: tuple[Installation, str, str]):
    made, digest, _ = registered
    first, second = written(made, digest), written(made, digest)
    assert first.digest == second.digest
    texts = [path.read_text() for path in first.path.iterdir() if path.suffix in (".md", ".html", ".json")]
    assert not [text for text in texts if str(made.folder) in text]


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)


def test_it_holds_no_text_of_a_logged_answer_and_names_no_row(registered: tuple[Installation, str, str]):
    made, digest, report = registered
    answers = json.loads((made.lake.artifact("report", report).path / "report.json").read_text())["examples"]
    assert answers, "the report does have some"
    shown = [text for text in texts_in(answers) if len(text) > 12]
    assert shown
    whole = "".join(path.read_text() for path in written(made, digest).path.iterdir() if path.suffix != ".png")
    assert "when it runs, then it ends" not in whole
    rows = read_side(made.lake.artifact("snapshot", made.state.last_trained(LINE).snapshot).path, "train")
    assert not [row for row in rows if row.example_id in whole or row.interaction_ids[0] in whole]
    assert not [text for text in shown if text in whole]


def test_every_file_of_the_folder_is_in_the_index_and_the_page_loads_nothing(registered: tuple[Installation, str, str]):
    made, digest, _ = registered
    dossier = written(made, digest)
    names = {path.name for path in dossier.path.iterdir()} - {"index.md", "index.html", "manifest.json"}
    assert names == set(re.findall(r"\]\(([^)]+)\)", index(dossier)))
    links: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "img", "iframe", "link")
            links.extend(value or "" for name, value in attrs if name in ("href", "src"))

    Reader().feed((dossier.path / "index.html").read_text())
    assert set(links) == names


def test_a_taint_and_a_lost_report_are_told_first_and_last(registered: tuple[Installation, str, str], tmp_path: Path):
    made, digest, report = registered
    shutil.copytree(made.folder, tmp_path / "copy")
    copied = Installation(tmp_path / "copy")
    taint(copied.state, [digest], "rows of a forgotten user", "forget")
    erase_artifact(copied.lake, "snapshot", (snapshot := copied.state.last_trained(LINE).snapshot), "f" * 64)
    shutil.rmtree(copied.lake.artifact("report", report).path)
    told = index(written(copied, digest))
    assert f"The snapshot {snapshot[:12]} was erased because a person in it asked to be forgotten" in told
    assert told.splitlines()[2] == "**TAINTED, must not be used: rows of a forgotten user**"
    assert f"The report {report[:12]} is damaged or gone" in told
    assert "at all: it is tainted" in told


def test_what_is_not_known_is_not_made_up(registered: tuple[Installation, str, str]):
    made, digest, _ = registered
    known = AboutLine("It helps.", {"id": "own-base", "licence": "unknown"}, True, "works council agreement 7")
    told = index(written(made, digest, known))
    assert "The licence of the base model is not known." in told
    assert "works council agreement 7" in told and "is not recorded anywhere" not in told
    assert f"No data card about {made.state.last_trained(LINE).snapshot[:12]} is stored." in told
    assert "numeric fingerprint was not recorded" in told


def test_a_damaged_adapter_or_an_unregistered_model_has_none(registered: tuple[Installation, str, str], tmp_path: Path):
    made, digest, _ = registered
    shutil.copytree(made.folder, tmp_path / "copy")
    copied = Installation(tmp_path / "copy")
    path = copied.lake.artifact("adapter", digest).path / "adapter_model.safetensors"
    path.chmod(0o644)
    path.write_text("two")
    with pytest.raises(IncompleteArtifact):
        written(copied, digest)
    with pytest.raises(MissingInput, match="not registered"):
        written(made, "0" * 64)


def test_hostile_text_is_shown_and_does_nothing():
    page = Page(HOSTILE, HOSTILE, [Section(HOSTILE, [Words(HOSTILE), Lines([HOSTILE]), Table([HOSTILE], [[HOSTILE]])])])
    assert "<script" not in html(page) and "<script" not in markdown(page)
    assert "](javascript" not in markdown(page)
    assert len(markdown(page).split("## ")) == 2, "no heading of its own"

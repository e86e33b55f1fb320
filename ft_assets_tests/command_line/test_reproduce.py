"""`ft-assets reproduce`: real trainings of the tiny model, a few steps each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ft_assets.answers.training_again import train_again
from ft_assets.command_line.app import app
from ft_assets.lake import Artifact
from ft_assets_tests.command_line.installation import Installation
from ft_assets_tests.retraining.lines import LINE, curate, snapshot_of, train_rows
from ft_assets_tests.training.samples import BASE, needs_base, tiny_recipe

pytestmark = [pytest.mark.torch, needs_base]
DAYS = ("2026-03-01", "2026-03-02")
Made = tuple[Installation, Artifact]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An installation whose only model was trained on what is curated on the first day."""
    installation = Installation(tmp_path_factory.mktemp("reproduce"))
    installation.write_lines()
    lake, folder = installation.lake, installation.folder
    rows = [*train_rows(40), *(held_out_rows(4))]
    curate(lake, rows, DAYS[0])
    shutil.copytree(BASE, folder / "base", ignore=shutil.ignore_patterns("*.md", "manifest.json"))
    recipe = tiny_recipe(num_train_epochs=1, gradient_accumulation_steps=1)
    origin = {
        "specialization": LINE,
        "snapshot": snapshot_of(lake, folder / "snapshot"),
        "base_id": "tiny-base",
        "base_digest": lake.put_artifact("base_model", folder / "base").digest,
        "recipe": recipe.model_dump(),
        "system_prompt": None,
        "device": {"threads": 1},
    }
    snapshot = lake.artifact("snapshot", origin["snapshot"]).path
    adapter = lake.put_artifact("adapter", train_again(lake, origin, snapshot, folder / "first", print))
    record(installation, adapter)
    return installation, adapter


def held_out_rows(count: int) -> list[dict[str, Any]]:
    """Rows that stand on the validation side."""
    from ft_assets.dataset.split import side_of

    wanted = (f"held-{number:03d}" for number in range(1000))
    names = [name for name in wanted if side_of(f"cluster-{name}", "ft_assets") == "validation"][:count]
    first = json.dumps(train_rows(1)[0])
    return [
        json.loads(first.replace("case-00000", name).replace(train_rows(1)[0]["example_id"], name)) for name in names
    ]


def record(installation: Installation, adapter: Artifact) -> None:
    origin = json.loads((adapter.path / "provenance.json").read_text())
    installation.state.record_trained(
        LINE, origin["snapshot"], origin["recipe_digest"], origin["base_digest"], adapter.digest
    )


@pytest.fixture
def asked(made: Made, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    for name, value in made[0].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def ask(digest: str, exit_code: int) -> Any:
        result = CliRunner().invoke(app, ("reproduce", digest, "--json", "--questions", "2"))
        assert result.exit_code == exit_code, result.output or result.exception
        return json.loads(result.stdout)

    return ask


def tampered(made: Made, folder: Path, change: Callable[[dict[str, Any]], object]) -> Artifact:
    """The model with other weights, and a record that `change` has changed."""
    from safetensors.torch import load_file, save_file

    installation, adapter = made
    shutil.copytree(adapter.path, folder, ignore=shutil.ignore_patterns("manifest.json"))
    weights = folder / "adapter_model.safetensors"
    tensors = {name: tensor * 3 for name, tensor in load_file(weights).items()}
    weights.unlink()
    save_file(tensors, weights, metadata={"format": "pt"})
    origin = json.loads((folder / "provenance.json").read_text())
    change(origin)
    (folder / "provenance.json").write_text(json.dumps(origin))
    other = installation.lake.put_artifact("adapter", folder)
    record(installation, other)
    return other


def test_the_same_bytes_come_out_from_rows_that_are_built_again(made: Made, asked: Callable[..., Any]):
    curate(made[0].lake, train_rows(20, first=40, day=DAYS[1]), DAYS[1])  # what landed later changes nothing
    found = asked(made[1].digest, 0)
    assert found["outcome"] == "same"
    assert found["snapshot"]["rebuilt"]
    assert all(found["files"].values()) and "received.json" in found["files"]
    assert found["differing"] == {} and found["likeness"] is None


def test_on_another_machine_it_says_so_and_how_near_it_came(made: Made, asked: Callable[..., Any], tmp_path: Path):
    def elsewhere(origin: dict[str, Any]) -> None:
        origin["device"]["threads"] = 64
        origin["numerics"]["instructions"] = ["avx2"]

    found = asked(tampered(made, tmp_path / "other", elsewhere).digest, 3)
    assert found["outcome"] == "not comparable bitwise"
    assert found["differing"]["device.threads"] == [64, 1]
    assert "numerics.instructions" in found["reason"]
    assert found["likeness"]["loss_difference"] == 0, "the log was not tampered with"
    assert found["likeness"]["asked"] == 2 and 0 <= found["likeness"]["share"] <= 1


def test_other_weights_on_this_very_machine_are_not_explained_away(
    made: Made, asked: Callable[..., Any], tmp_path: Path
):
    lake = made[0].lake
    other = tampered(made, tmp_path / "other", lambda origin: origin)
    curate(lake, train_rows(39), DAYS[0])  # a row is gone, and the held-out ones
    found = asked(other.digest, 1)
    assert found["outcome"] == "different"
    assert not found["snapshot"]["rebuilt"] and found["snapshot"]["missing"] == 5
    assert [name for name, same in found["files"].items() if not same] == ["adapter_model.safetensors"]

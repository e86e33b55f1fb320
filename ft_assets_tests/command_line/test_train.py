"""`ft-assets train`, as the image runs it: a file, a base model, a directory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ft_assets.cluster.multi_node import MOUNT, SharedTraining, torchrun
from ft_assets.command_line.train import train
from ft_assets.command_line.train_recipe import written_recipe
from ft_assets.command_line.train_rows import rows_of
from ft_assets.errors import BadConfiguration, BadInput, MissingInput
from ft_assets_tests.mlflow_servers import free_port
from ft_assets_tests.training.samples import BASE, commit_rows, needs_base

TASK = "summarization"


def file_of(folder: Path, count: int, **more: str) -> Path:
    """Summaries as {"input", "output"}, all different, one with a mail address in it."""
    pairs = [[turn.content for turn in row.messages] for row in commit_rows(count, seed=3)]
    lines = [
        {"input": f"{asked} Nr {n}. Written by a{n}@example.com", "output": f"{told} {n} " * 4, **more}
        for n, (asked, told) in enumerate(pairs)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow
def test_rows_are_masked_and_stand_on_three_sides(tmp_path: Path) -> None:
    found = rows_of(file_of(tmp_path, 60), TASK, "key")
    rows = [row for side in found.sides.values() for row in side]
    assert len(rows) + sum(found.left_out.values()) == 60
    assert len(found.sides["train"]) > len(found.sides["validation"]) > 0
    assert not any("example.com" in turn.content for row in rows for turn in row.messages)


@pytest.mark.slow
def test_records_of_another_task_are_left_out_and_counted(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="60 another task"):
        rows_of(file_of(tmp_path, 60, task_type="classification"), TASK, "key")


@pytest.mark.slow
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="is no file"):
        rows_of(tmp_path / "absent.jsonl", TASK, "key")
    (tmp_path / "odd.jsonl").write_text('{"question": 1}\nnot json\n')
    with pytest.raises(BadInput, match=r"no record in a known format\. line 1"):
        rows_of(tmp_path / "odd.jsonl", TASK, "key")
    with pytest.raises(BadInput, match="at least 10 are needed"):
        rows_of(file_of(tmp_path, 3), TASK, "key")


@pytest.mark.parametrize("text", ["- a list", "learning_rate: fast", "no_such_knob: 1", "a: [", "approach: gpt"])
def test_a_recipe_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(BadConfiguration, match=r"recipe\.yaml"):
        written_recipe(tmp_path / "recipe.yaml")


def test_an_adapter_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "out" / "adapter").mkdir(parents=True)
    with pytest.raises(BadConfiguration, match="exists already"):
        train(file_of(tmp_path, 20), str(BASE), tmp_path / "out", TASK)


@pytest.mark.torch
@needs_base
def test_a_file_becomes_an_adapter_without_dagster(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(train)
    words = ["--data", str(file_of(tmp_path, 60)), "--base", str(BASE), "--out", str(tmp_path / "out"), "--task", TASK]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "adapter",
        "data.json",
        "eval.jsonl",
        "recipe.json",
        "training.log",
    }
    assert (out / "adapter" / "adapter_model.safetensors").stat().st_size > 0
    assert json.loads((out / "adapter" / "provenance.json").read_text())["base_digest"]
    assert json.loads((out / "recipe.json").read_text())["learning_rate"] == 3e-3
    assert "eval_loss" in (out / "training.log").read_text()


def test_the_command_needs_no_dagster() -> None:
    code = "import sys, ft_assets.command_line.train; print('dagster' in sys.modules, 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False False"


@pytest.mark.long
@pytest.mark.torch
@needs_base
def test_two_nodes_train_one_adapter_with_the_words_of_their_manifest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    train(file_of(tmp_path, 60), str(BASE), out, TASK, prepare=True)
    training = SharedTraining("claim", "rows", "base", "out", TASK)
    given = {"$(JOB_COMPLETION_INDEX)": "0", f"{MOUNT}/out/.work/job": str(out / ".work" / "job")}
    words = [given.get(word, word) for word in torchrun("train-x", 2, 1, training)]
    words[words.index("--master-addr") + 1] = "127.0.0.1"
    words[words.index("--master-port") + 1] = str(free_port())
    command = [sys.executable, "-m", "torch.distributed.run"]
    rank = words.index("--node-rank") + 1
    nodes = [subprocess.Popen([*command, *words[:rank], str(node), *words[rank + 1 :]]) for node in (0, 1)]
    assert [node.wait(600) for node in nodes] == [0, 0]
    assert (out / "adapter" / "adapter_model.safetensors").stat().st_size > 0

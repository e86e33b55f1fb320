import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ft_assets.command_line.app import app
from ft_assets_tests.command_line.installation import LINE, Installation


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of one line; the second one learned from more rows and is champion."""
    made = Installation(tmp_path_factory.mktemp("installation"))
    made.write_lines()
    made.curate(LINE, "2026-03-01", 0, 150, bad=10)
    first = made.train(LINE, "one", by="Grace Hopper")
    made.promote(LINE, first, made.evaluate(LINE, first))
    made.curate(LINE, "2026-03-02", 150, 50)
    second = made.train(LINE, "two", by="Grace Hopper", r=32)
    made.promote(LINE, second, made.evaluate(LINE, second, {"candidate": 0.95, "champion": 0.6, "base": 0.1}))
    return made.folder


@pytest.fixture
def installation(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A copy of it for one test, and the environment that names it."""
    shutil.copytree(built, tmp_path / "installation")
    copied = Installation(tmp_path / "installation")
    for name in ("FT_ASSETS_STATE_URL", "MLFLOW_TRACKING_URI", "FT_ASSETS_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in copied.environment.items():
        monkeypatch.setenv(name, value)
    return copied


Ask = Callable[..., Any]  # the result of CliRunner.invoke


@pytest.fixture
def ask(installation: Installation) -> Ask:
    """Runs a command and checks how it ended."""

    def run(*arguments: str, exit_code: int = 0) -> Any:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == exit_code, result.output or result.exception
        return result

    return run


@pytest.fixture
def ask_json(ask: Ask) -> Callable[..., Any]:
    """The same with --json, read."""
    return lambda *arguments, **how: json.loads(ask(*arguments, "--json", **how).stdout)

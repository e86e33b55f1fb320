import shutil
from pathlib import Path

import pytest

from ft_assets_tests.erasure.world import LINE, World


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    world = World(tmp_path_factory.mktemp("world"))
    world.land()
    world.ingest()
    world.ingest()  # an older version of each table stays behind
    world.curate()
    snapshot = world.snapshot()
    adapter = world.train(snapshot)
    made = {"snapshot": snapshot, "adapter": adapter, **world.publish(snapshot, adapter)}
    world.state.promote(LINE, adapter.digest, None, "somebody", "it is better", made["report"].digest)
    shutil.rmtree(world.folder / "made")
    return world.folder, {kind: artifact.digest for kind, artifact in made.items()}


@pytest.fixture
def digests(built: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return built[1]


@pytest.fixture
def world(built: tuple[Path, dict[str, str]], tmp_path: Path) -> World:
    shutil.copytree(built[0], tmp_path / "copy")
    return World(tmp_path / "copy")

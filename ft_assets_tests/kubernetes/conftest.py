from collections.abc import Iterator
from pathlib import Path

import pytest

from ft_assets_tests.kubernetes.job_client import Client
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.postgres_server import fresh_database


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[PretendCluster]:
    """A cluster with one node for light pods and one with a GPU."""
    with PretendCluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def client(cluster: PretendCluster) -> Client:
    """The real client, as the administrator."""
    return Client(cluster.kubeconfig())


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty database on a real PostgreSQL."""
    with fresh_database() as url:
        yield url

import subprocess
import sys
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.settings import PROJECT_ROOT, read_settings, s3_storage_options

SHARED = {
    "FT_ASSETS_LAKE": "s3://bucket/prefix/",
    "FT_ASSETS_STATE_URL": "postgresql://ft:secret@db/ft",
    "MLFLOW_TRACKING_URI": "http://mlflow:5500",
}


def test_an_empty_environment_gives_absolute_places_inside_the_project() -> None:
    settings = read_settings({"FT_ASSETS_STATE_URL": "", "FT_ASSETS_LAKE": " "})
    assert settings.lake_url == str(PROJECT_ROOT / ".lake")
    assert settings.state_url == f"sqlite:///{PROJECT_ROOT}/.lake/state.db"
    assert settings.mlflow_tracking_uri == f"sqlite:///{PROJECT_ROOT}/.lake/mlflow.db"
    assert settings.cache_dir == PROJECT_ROOT / ".cache"
    assert settings.specializations_dir == PROJECT_ROOT / "ft_assets" / "specializations"
    assert (settings.start_date, settings.execution, settings.split_key) == ("2020-01-01", "local", "ft_assets")


def test_a_relative_lake_means_the_same_directory_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings({"FT_ASSETS_LAKE": "data/lake"}).lake_url == str(PROJECT_ROOT / "data" / "lake")
    assert read_settings({"FT_ASSETS_LAKE": str(tmp_path)}).state_url == f"sqlite:///{tmp_path}/state.db"


def test_a_lake_on_s3_with_shared_stores_is_accepted() -> None:
    settings = read_settings({**SHARED, "FT_ASSETS_EXECUTION": "k8s"})
    assert settings.lake_url == "s3://bucket/prefix"
    assert settings.execution == "k8s"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"FT_ASSETS_LAKE": "s3://bucket"}, ["FT_ASSETS_STATE_URL is not set", "MLFLOW_TRACKING_URI is not set"]),
        ({"FT_ASSETS_EXECUTION": "k8s"}, ["FT_ASSETS_STATE_URL is not set", "MLFLOW_TRACKING_URI is not set"]),
        ({**SHARED, "FT_ASSETS_STATE_URL": "sqlite:////x/state.db"}, ["FT_ASSETS_STATE_URL is sqlite"]),
        ({**SHARED, "MLFLOW_TRACKING_URI": "file:///x"}, ["MLFLOW_TRACKING_URI is file"]),
        ({"FT_ASSETS_LAKE": "gs://bucket"}, ["FT_ASSETS_LAKE is 'gs://bucket'"]),
        ({"FT_ASSETS_EXECUTION": "cloud", "FT_ASSETS_START_DATE": "20200101"}, ["'cloud'", "'20200101'"]),
        ({"FT_ASSETS_START_DATE": "2020-02-30"}, ["FT_ASSETS_START_DATE is '2020-02-30'"]),
    ],
)
def test_a_refused_environment_names_everything_that_is_wrong(environ: dict[str, str], named: list[str]) -> None:
    with pytest.raises(BadConfiguration) as refused:
        read_settings(environ)
    assert all(words in str(refused.value) for words in named)
    assert "secret" not in str(refused.value)


def test_the_options_for_s3_follow_the_standard_variables() -> None:
    options = s3_storage_options(
        {"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_DEFAULT_REGION": "eu-west-1", "HOME": "/"}
    )
    assert options == {
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-west-1",
        "aws_conditional_put": "etag",
    }
    assert "AWS_ALLOW_HTTP" not in s3_storage_options({"AWS_ENDPOINT_URL": "https://s3.example.org"})


def test_importing_what_definitions_import_loads_no_heavy_library() -> None:
    script = (
        "import sys, ft_assets.settings, ft_assets.errors, ft_assets.lake, ft_assets.state\n"
        "heavy = {'polars', 'deltalake', 'boto3', 'botocore', 'sqlalchemy', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PROJECT_ROOT)


def test_gpu_nodes_are_marked_as_the_gpu_operator_does_unless_the_cluster_says_otherwise() -> None:
    usual = read_settings({})
    assert (usual.gpu_node_selector, usual.gpu_taints) == ({"nvidia.com/gpu.present": "true"}, ("nvidia.com/gpu",))
    own = read_settings({"FT_ASSETS_GPU_NODE_SELECTOR": "pool=gpu,zone=a", "FT_ASSETS_GPU_TAINTS": "pool,team"})
    assert (own.gpu_node_selector, own.gpu_taints) == ({"pool": "gpu", "zone": "a"}, ("pool", "team"))
    bare = read_settings({"FT_ASSETS_GPU_NODE_SELECTOR": "none", "FT_ASSETS_GPU_TAINTS": "none"})
    assert (bare.gpu_node_selector, bare.gpu_taints) == ({}, ())
    with pytest.raises(BadConfiguration, match="FT_ASSETS_GPU_NODE_SELECTOR is 'gpu'"):
        read_settings({"FT_ASSETS_GPU_NODE_SELECTOR": "gpu"})

"""What comes from the environment, read in this one place."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from ft_assets.errors import BadConfiguration

PROJECT_ROOT = Path(__file__).resolve().parent.parent
EXECUTIONS = ("local", "k8s")
NONE = "none"  # of GPU nodes without a label or a taint of their own
AWS_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


class Settings(BaseModel):
    """Where this installation keeps its things. Directories and SQLite URLs are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    lake_url: str = Field(description="Absolute directory, or s3://bucket/prefix.")
    state_url: str = Field(repr=False, description="SQLAlchemy URL; not printed, it may hold a password.")
    mlflow_tracking_uri: str = Field(repr=False)
    start_date: str = Field(description="First day of the day partitions, YYYY-MM-DD, UTC.")
    specializations_dir: Path
    execution: Literal["local", "k8s"]
    cache_dir: Path = Field(description="Per-node cache of artifacts that live on S3.")
    split_key: str = Field(description="Key of the hash that gives a cluster its side.")
    rules: Path | None = Field(description="YAML file of the rules that every landing file and example keeps to.")
    tokenizer: Path = Field(description="tokenizer.json that n_tokens is counted with.")
    judge_url: str | None = Field(None, description="Root of an OpenAI-compatible API; without one nothing is judged.")
    judge_model: str | None = Field(None, description="The model that the API knows the judge by.")
    judge_api_key: str | None = Field(None, repr=False)
    gpu_node_selector: dict[str, str] = Field(description="Labels that every node with a GPU has.")
    gpu_taints: tuple[str, ...] = Field(description="Keys of the taints that keep other pods off nodes with a GPU.")
    project_root: Path


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings that `environ` asks for (default: the process environment); an empty variable counts as unset.

    Relative directories are taken from the project root, so that every process of one installation means the same.

    Raises:
        BadConfiguration: a value cannot be used, or several machines would share a lake without shared ledgers;
            the message names every variable to set.
    """
    given = {name: value.strip() for name, value in (os.environ if environ is None else environ).items()}
    given["FT_ASSETS_JUDGE_API_KEY"] = _judge_api_key(given)
    execution = given.get("FT_ASSETS_EXECUTION") or "local"
    lake_url = _place(given.get("FT_ASSETS_LAKE") or ".lake")
    state_url = given.get("FT_ASSETS_STATE_URL") or ""
    mlflow_uri = given.get("MLFLOW_TRACKING_URI") or ""
    labels = given.get("FT_ASSETS_GPU_NODE_SELECTOR") or "nvidia.com/gpu.present=true"
    taints = given.get("FT_ASSETS_GPU_TAINTS") or "nvidia.com/gpu"
    wrong = _wrong_values(execution, given) + _wrong_judge(given) + _wrong_labels(labels)
    _refuse(wrong + _unshared_stores(lake_url, execution, state_url, mlflow_uri))
    return Settings(
        lake_url=lake_url,
        state_url=state_url or f"sqlite:///{lake_url}/state.db",
        mlflow_tracking_uri=mlflow_uri or f"sqlite:///{lake_url}/mlflow.db",
        start_date=given.get("FT_ASSETS_START_DATE") or "2020-01-01",
        specializations_dir=_directory(given.get("FT_ASSETS_SPECIALIZATIONS") or "ft_assets/specializations"),
        execution="k8s" if execution == "k8s" else "local",
        cache_dir=_directory(given.get("FT_ASSETS_CACHE") or ".cache"),
        split_key=given.get("FT_ASSETS_SPLIT_KEY") or "ft_assets",
        rules=_directory(rules) if (rules := given.get("FT_ASSETS_RULES")) else None,
        tokenizer=_directory(given.get("FT_ASSETS_TOKENIZER") or "data/tiny_base/tokenizer.json"),
        judge_url=given.get("FT_ASSETS_JUDGE_URL") or None,
        judge_model=given.get("FT_ASSETS_JUDGE_MODEL") or None,
        judge_api_key=given.get("FT_ASSETS_JUDGE_API_KEY") or None,
        gpu_node_selector={} if labels == NONE else dict(label.split("=") for label in labels.split(",")),
        gpu_taints=() if taints == NONE else tuple(taints.split(",")),
        project_root=PROJECT_ROOT,
    )


def s3_storage_options(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The standard AWS_* variables as delta-rs and Polars take them; what is not set is left to their own lookup.

    `aws_conditional_put=etag` makes a table commit a compare-and-set, so that two writers cannot both win a version.
    """
    given = os.environ if environ is None else environ
    options = {name: given[name] for name in AWS_VARIABLES if given.get(name)}
    endpoint = given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL") or ""
    if endpoint:
        options["AWS_ENDPOINT_URL"] = endpoint
    if endpoint.startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    region = given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    if region:
        options["AWS_REGION"] = region
    return {**options, "aws_conditional_put": "etag"}


def _place(lake: str) -> str:
    return lake.rstrip("/") if lake.startswith("s3://") else str(_directory(lake))


def _directory(path: str) -> Path:
    return (PROJECT_ROOT / Path(path).expanduser()).resolve()


def _judge_api_key(given: Mapping[str, str]) -> str:
    """The key itself, or what is in the file that FT_ASSETS_JUDGE_API_KEY_FILE names; not every pod has that file."""
    path = Path(given.get("FT_ASSETS_JUDGE_API_KEY_FILE") or "")
    return given.get("FT_ASSETS_JUDGE_API_KEY") or (path.read_text(encoding="utf-8").strip() if path.is_file() else "")


def _wrong_values(execution: str, given: Mapping[str, str]) -> list[str]:
    wrong = []
    if execution not in EXECUTIONS:
        wrong.append(f"FT_ASSETS_EXECUTION is {execution!r}; set it to one of {', '.join(EXECUTIONS)}")
    lake = given.get("FT_ASSETS_LAKE", "")
    if "://" in lake and not lake.startswith("s3://"):
        wrong.append(f"FT_ASSETS_LAKE is {lake!r}; set it to a directory or s3://bucket/prefix")
    start_date = given.get("FT_ASSETS_START_DATE") or "2020-01-01"
    try:
        written = date.fromisoformat(start_date).isoformat()
    except ValueError:
        written = ""
    if written != start_date:
        wrong.append(f"FT_ASSETS_START_DATE is {start_date!r}; set it to a day written YYYY-MM-DD")
    return wrong


def _wrong_labels(labels: str) -> list[str]:
    if labels == NONE or all(label.count("=") == 1 and label.split("=")[0] for label in labels.split(",")):
        return []
    return [f"FT_ASSETS_GPU_NODE_SELECTOR is {labels!r}; set it to label=value,label=value, or to {NONE}"]


def _wrong_judge(given: Mapping[str, str]) -> list[str]:
    """What is wrong with the judge's endpoint. No value is quoted: a URL or a key in the wrong place may be secret."""
    url, model, key = (given.get(f"FT_ASSETS_JUDGE_{name}") or "" for name in ("URL", "MODEL", "API_KEY"))
    wrong = []
    if url and not model:
        wrong.append("FT_ASSETS_JUDGE_URL is set and FT_ASSETS_JUDGE_MODEL is not; name the model that is to judge")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        wrong.append("FT_ASSETS_JUDGE_URL is no API root; set it to http(s)://host/path, such as http://judge:8000/v1")
    if parts.username or parts.password:
        wrong.append("FT_ASSETS_JUDGE_URL holds a user or password; put the key into FT_ASSETS_JUDGE_API_KEY")
    if not (key.isascii() and key.isprintable()):
        wrong.append("FT_ASSETS_JUDGE_API_KEY has characters that no HTTP header can hold; copy it again")
    return wrong


def _unshared_stores(lake_url: str, execution: str, state_url: str, mlflow_uri: str) -> list[str]:
    if not lake_url.startswith("s3://") and execution != "k8s":
        return []
    because = "FT_ASSETS_EXECUTION is k8s" if execution == "k8s" else "the lake is on S3"
    wanted = []
    if not state_url.startswith("postgresql"):
        now = f"is {state_url.split(':')[0]}" if state_url else "is not set"
        wanted.append(f"FT_ASSETS_STATE_URL {now}; {because}, so set it to postgresql://user:password@host/database")
    if not mlflow_uri.startswith(("http://", "https://")):
        now = f"is {mlflow_uri.split(':')[0]}" if mlflow_uri else "is not set"
        wanted.append(f"MLFLOW_TRACKING_URI {now}; {because}, so set it to http(s)://host:5500")
    return wanted


def _refuse(problems: list[str]) -> None:
    if problems:
        raise BadConfiguration(
            "The environment cannot be used as it is: " + ". ".join(problems) + ". "
            "A private disk per machine would lose the ledgers silently, so nothing was loaded."
        )

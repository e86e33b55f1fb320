"""What a training on several devices is given and gives back, as files that its processes read and write."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from signal import SIGTERM
from types import SimpleNamespace
from typing import Any

from ft_assets.errors import FtAssetsError, Rerunnable
from ft_assets.state_leases import Lease
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.intervals import Intervals
from ft_assets.training.recipe import Recipe
from ft_assets.training.result import StageResult, TrainingResult
from ft_assets.training.stage_data import SideRows, TrainingRows

JOB, ROWS, RESULT = "job.json", "rows.jsonl", "result.json"
SAID = "\x1eft_assets "  # a line of stdout that begins so is a message from the first process, as JSON


class DeviceLost(Rerunnable):
    """A process of a training on several devices died without a word: killed, out of memory, or its machine is sick."""


@dataclass(frozen=True)
class DeviceJob:
    """One training: the arguments of `train.train`, in words that fit into JSON.

    `training_ids` names the checkpoints of each objective; they lie under `work_dir`/<training id> and, for a lake on
    S3, in the bucket too. `tokens_dir` is where tokens are kept, for all trainings.
    """

    base_dir: Path
    recipe: Recipe
    work_dir: Path
    lake_url: str
    training_ids: dict[str, str]
    out_dir: Path
    system_prompt: SystemPrompt
    provenance: dict[str, Any]
    tokens_dir: Path
    stop_after_steps: int | None = None  # of the last stage: the end of a sweep's rung
    keep_last: int = 2
    grace_seconds: float = 25.0
    lowerings: int = 0  # of earlier attempts that the kernel killed for want of memory
    lease: Lease | None = field(default=None, repr=False)  # without one nobody else may train the line

    @property
    def last_dir(self) -> Path:
        """The scratch directory of the last stage, in which the others keep theirs while they train."""
        return self.work_dir / list(self.training_ids.values())[-1]


def write_job(folder: Path, job: DeviceJob, rows: TrainingRows) -> None:
    """Writes the job and its rows (masked text, as in the snapshot) for the processes to read."""
    lease = asdict(job.lease) if job.lease else None
    words = {**vars(job), "recipe": job.recipe.model_dump(exclude_unset=True), "lease": lease}
    (folder / JOB).write_text(json.dumps(words, default=str))
    with (folder / ROWS).open("w") as file:
        for side in fields(TrainingRows):
            for kind in fields(SideRows):
                for row in getattr(getattr(rows, side.name), kind.name):
                    file.write(json.dumps([side.name, kind.name, _plain(row)]) + "\n")


def read_job(folder: Path) -> tuple[DeviceJob, TrainingRows]:
    """What `write_job` wrote. Rows come back as objects with the same attributes, their messages as mappings."""
    words = json.loads((folder / JOB).read_text())
    paths = {name: Path(words[name]) for name in ("base_dir", "work_dir", "out_dir", "tokens_dir")}
    lease = Lease(**words["lease"]) if words["lease"] else None
    job = DeviceJob(**{**words, **paths, "recipe": Recipe.model_validate(words["recipe"]), "lease": lease})
    found: dict[str, dict[str, list[Any]]] = {side.name: {} for side in fields(TrainingRows)}
    with (folder / ROWS).open() as file:
        for side, kind, row in map(json.loads, file):
            found[side].setdefault(kind, []).append(SimpleNamespace(**row))
    return job, TrainingRows(**{side: SideRows(**kinds) for side, kinds in found.items()})


def write_result(folder: Path, result: TrainingResult) -> None:
    """Writes what the training gave, for the process that started it."""
    (folder / RESULT).write_text(json.dumps(asdict(result)))


def read_result(folder: Path) -> TrainingResult:
    """What `write_result` wrote."""
    stages = json.loads((folder / RESULT).read_text())["stages"]
    return TrainingResult(
        tuple(StageResult(**{**stage, "intervals": Intervals(**stage["intervals"])}) for stage in stages)
    )


def write_error(folder: Path, rank: int, error: BaseException) -> None:
    """Leaves an error where the starting process finds it, with its type."""
    kind = type(error)
    words = {"module": kind.__module__, "name": kind.__qualname__, "message": str(error)}
    (folder / f"error-{rank}.json").write_text(json.dumps(words))


def write_exits(folder: Path, exits: Mapping[int, int]) -> None:
    """Leaves how processes ended, by rank: an exit code, or the negative number of the signal that killed it."""
    (folder / "exits.json").write_text(json.dumps(exits))


def error_in(folder: Path, output: Iterable[str]) -> Exception:
    """Why a job failed, as an error of the type that one process would have raised.

    What this package raised on purpose comes first. A process that was killed comes next: the others only tell that
    they lost it. Then the first error of any other type. SIGTERM is no cause: torchrun sends it to those that are left.
    """
    told = sorted(folder.glob("error-*.json"), key=lambda path: path.stat().st_mtime_ns)
    errors = [_rebuilt(json.loads(path.read_text())) for path in told]
    first = next((error for error in errors if isinstance(error, FtAssetsError)), None)
    # where several processes say the same, the one of lowest rank knows most: it is the one that saves
    by_rank = [_rebuilt(json.loads(path.read_text())) for path in sorted(told, key=lambda path: path.name)]
    deliberate = next((error for error in by_rank if first is not None and type(error) is type(first)), None)
    exits = json.loads((folder / "exits.json").read_text()) if (folder / "exits.json").exists() else {}
    killed = next(
        (f"process {rank} got signal {-code}" for rank, code in exits.items() if code < 0 and code != -SIGTERM), None
    )
    if deliberate is not None:
        return deliberate
    if errors and not killed:
        return errors[0]
    return DeviceLost(
        f"A training on several devices ended early: {killed or 'no process says why'}. Signal 9 is often the kernel's "
        "answer to too little memory. No process is left over. Run again: training goes on from the newest valid "
        f"checkpoint. Its last lines: {' | '.join(output)}"
    )


def _rebuilt(words: Mapping[str, str]) -> Exception:
    """An error of that type with that message, whatever its constructor asks for; RuntimeError for an unknown type."""
    try:
        kind = getattr(import_module(words["module"]), words["name"])
        error: Exception = kind.__new__(kind, words["message"])
        if isinstance(error, Exception):
            return error
    except (ImportError, AttributeError, TypeError, ValueError):
        pass
    return RuntimeError(f"{words['name']}: {words['message']}")


def _plain(value: Any) -> Any:
    """A row as JSON can hold it: mappings, lists and plain values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

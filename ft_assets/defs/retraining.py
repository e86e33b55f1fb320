"""Which specializations are due for a run, and why the others are not. Asked by the sensor and by the schedule."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from ft_assets.defs.conventions import SPECIALIZATIONS, skipped
from ft_assets.defs.dataset import choice_of
from ft_assets.lake import Lake
from ft_assets.specializations.loader import Specialization, recipe_digest
from ft_assets.state import State

STATE_TAG = "ft_assets/data_state"
ATTEMPTS_PER_STATE = 2
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Due:
    """A line that should be trained now, for one state of its data."""

    specialization: str
    state: str
    attempt: int

    @property
    def run_key(self) -> str:
        return f"{self.specialization}:{self.state}:{self.attempt}"

    @property
    def tags(self) -> dict[str, str]:
        return {STATE_TAG: self.state}


def any_run_is_active(instance: dg.DagsterInstance, *jobs: str) -> bool:
    """Whether a run of one of these jobs is queued or running, so that the answer may change without a new row."""
    return any(instance.get_runs(dg.RunsFilter(job_name=job, statuses=ACTIVE), limit=1) for job in jobs)


def lines_digest() -> str:
    """Changes when any specialization file changes."""
    text = "".join(spec.model_dump_json() for spec in SPECIALIZATIONS.values())
    return hashlib.sha256(text.encode()).hexdigest()


def due_lines(
    instance: dg.DagsterInstance,
    lake: Lake,
    state: State,
    specializations: Iterable[Specialization],
    new_examples: int | None = None,
) -> tuple[list[Due], list[str]]:
    """Lines to train now, and one sentence for each other line. `new_examples` replaces the lines' own thresholds."""
    if not lake.exists("curated_examples"):
        return [], ["curated_examples does not exist yet: land interactions and run the job `curate`"]
    due, waiting = [], []
    for spec in specializations:
        verdict = due_or_why_not(instance, lake, state, spec, new_examples or spec.trigger.new_examples)
        if isinstance(verdict, Due):
            due.append(verdict)
        else:
            waiting.append(verdict)
    return due, waiting


def due_or_why_not(
    instance: dg.DagsterInstance, lake: Lake, state: State, spec: Specialization, threshold: int
) -> Due | str:
    """Counts what is new on the train side since the last snapshot that trained successfully."""
    from ft_assets.dataset.snapshot import eligible_train_ids, new_since, state_digest, why_waiting

    if spec.status == "retired":
        return f"{spec.name} is retired"
    if reason := skipped(spec):
        return f"{spec.name} is skipped: {reason}"
    running = instance.get_runs(
        dg.RunsFilter(job_name="retrain", tags={"dagster/partition": spec.name}, statuses=ACTIVE)
    )
    if running:
        return f"{spec.name} waits for run {running[0].run_id[:8]}, which is {running[0].status.value.lower()}"
    curated = lake.scan("curated_examples")
    eligible = eligible_train_ids(curated, **choice_of(lake, state, spec))
    last = state.last_trained(spec.name)
    consumed = lake.artifact("snapshot", last.snapshot).path if last else None
    new = new_since(eligible.ids, consumed)
    if len(new) < threshold:
        return why_waiting(spec.name, len(new), threshold, eligible.drops)
    if len(eligible.ids) < spec.trigger.minimum_examples:
        return f"{spec.name} has {len(eligible.ids)} train rows, minimum_examples is {spec.trigger.minimum_examples}"
    digest = state_digest(new, recipe_digest(spec), str(spec.base_model))
    before = instance.get_runs(
        dg.RunsFilter(job_name="retrain", tags={"dagster/partition": spec.name, STATE_TAG: digest})
    )
    if len(before) >= ATTEMPTS_PER_STATE:
        return (
            f"{spec.name} has {len(new)} new examples, but its last {len(before)} runs on them did not train "
            f"(see run {before[0].run_id[:8]}); it starts again by itself when data or recipe change"
        )
    return Due(spec.name, digest, len(before) + 1)

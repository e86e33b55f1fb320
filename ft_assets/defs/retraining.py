"""Which specializations are due for a run, and why the others are not. Asked by the sensor and by the schedule."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from ft_assets.defs.conventions import SETTINGS, SPECIALIZATIONS
from ft_assets.errors import FtAssetsError
from ft_assets.lake import Lake
from ft_assets.specializations.choice import why_skipped
from ft_assets.specializations.loader import Specialization, recipe_digest
from ft_assets.state import State

if TYPE_CHECKING:
    from ft_assets.retraining.decision import Start

STATE_TAG = "ft_assets/data_state"
PARTITION_TAG = "dagster/partition"
ATTEMPTS_PER_STATE = 2
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Where Dagster writes which sensor or schedule made a run, and the key that makes it the only one.
MADE_BY_TAGS, RUN_KEY_TAG = ("dagster/sensor_name", "dagster/schedule_name"), "dagster/run_key"
COSTLY_STEP = "lora_checkpoint"


@dataclass(frozen=True)
class Due:
    """A line that should be trained now, for one state of its data. `why` has the numbers."""

    specialization: str
    state: str
    attempt: int
    why: str = ""

    @property
    def run_key(self) -> str:
        return f"{self.specialization}:{self.state}:{self.attempt}"

    @property
    def tags(self) -> dict[str, str]:
        return {STATE_TAG: self.state}


@dataclass(frozen=True)
class Waiting:
    """One sentence on why a line is not trained now; `until` is when time alone may change that."""

    reason: str
    until: datetime | None = None


def any_run_is_active(instance: dg.DagsterInstance, *jobs: str) -> bool:
    """Whether a run of one of these jobs is queued or running, so that the answer may change without a new row."""
    return any(instance.get_runs(dg.RunsFilter(job_name=job, statuses=ACTIVE), limit=1) for job in jobs)


def lines_digest() -> str:
    """Changes when any specialization file changes."""
    text = "".join(spec.model_dump_json() for spec in SPECIALIZATIONS.values())
    return hashlib.sha256(text.encode()).hexdigest()


def looked_at(lake: Lake, state: State) -> str:
    """Changes when anything changes that a decision rests on: rows, ratings, lines, trainings, champions, taints."""
    from ft_assets.state_taints import taints

    rated = ("raw_interactions", "feedback") if any(spec.trigger.drift for spec in SPECIALIZATIONS.values()) else ()
    tables = [lake.version(name) for name in ("curated_examples", *rated)]
    told = [len(state.trained()), [len(state.promotions(line)) for line in SPECIALIZATIONS], len(taints(state))]
    return f"{tables}:{told}:{lines_digest()}"


def due_lines(
    instance: dg.DagsterInstance,
    lake: Lake,
    state: State,
    specializations: Iterable[Specialization],
    asked_by: str,
    now: datetime,
    new_examples: int | None = None,
) -> tuple[list[Due], list[Waiting]]:
    """Lines to train now, and one sentence for each other line. `new_examples` replaces the lines' own thresholds.

    `asked_by` is the sensor or schedule: for one state of the data only one of them may ask. A line that cannot be
    read is told as such and holds up no other.
    """
    if not lake.exists("curated_examples"):
        return [], [Waiting("curated_examples does not exist yet: land interactions and run the job `curate`")]
    due, waiting = [], []
    for spec in specializations:
        try:
            threshold = new_examples or spec.trigger.new_examples
            verdict = due_or_why_not(instance, lake, state, spec, threshold, asked_by, now)
        except FtAssetsError as error:
            verdict = Waiting(f"{spec.name} could not be looked at, so nothing is started: {error}")
        if isinstance(verdict, Due):
            due.append(verdict)
        else:
            waiting.append(verdict)
    return due, waiting


def due_or_why_not(
    instance: dg.DagsterInstance,
    lake: Lake,
    state: State,
    spec: Specialization,
    threshold: int,
    asked_by: str,
    now: datetime,
) -> Due | Waiting:
    """Counts what is new on the train side and was never consumed by a training, and decides by the line's trigger."""
    from ft_assets.retraining.counting import count
    from ft_assets.retraining.decision import Wait, decide
    from ft_assets.retraining.situation import situation_of

    if spec.status == "retired":
        return Waiting(f"{spec.name} is retired")
    if reason := why_skipped(spec):
        return Waiting(f"{spec.name} is skipped: {reason}")
    if running := active_run(instance, spec):
        # Created by a tick that was killed before it could submit it: the same key again, and Dagster submits it.
        return unsubmitted(running, spec, asked_by) or Waiting(
            f"{spec.name} waits for run {running.run_id[:8]}, which is {running.status.value.lower()}"
        )
    counted = count(lake, state, spec, SETTINGS.split_key)
    situation = situation_of(lake, state, spec, counted, threshold, now, spent_this_month(instance, spec, now))
    decided = decide(situation, spec.trigger, now)
    if isinstance(decided, Wait):
        return Waiting(decided.reason, decided.until)
    return next_attempt(instance, state, spec, counted.new, decided, asked_by, now)


def active_run(instance: dg.DagsterInstance, spec: Specialization) -> dg.DagsterRun | None:
    """A run of this line that is queued or under way, of the job or launched by hand from the asset's page."""
    runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: spec.name}, statuses=ACTIVE), limit=1)
    return runs[0] if runs else None


def unsubmitted(run: dg.DagsterRun, spec: Specialization, asked_by: str) -> Due | None:
    """The request that this run was created for, if it was ours and nobody submitted the run."""
    ours = asked_by in (run.tags.get(tag) for tag in MADE_BY_TAGS)
    if run.status != dg.DagsterRunStatus.NOT_STARTED or not ours or RUN_KEY_TAG not in run.tags:
        return None
    _, state, attempt = run.tags[RUN_KEY_TAG].rsplit(":", 2)
    return Due(spec.name, state, int(attempt), f"{spec.name}: run {run.run_id[:8]} was created and never submitted")


def next_attempt(
    instance: dg.DagsterInstance,
    state: State,
    spec: Specialization,
    new: Sequence[str],
    start: "Start",
    asked_by: str,
    now: datetime,
) -> Due | Waiting:
    """The first or second run for this state of the data, unless another asker has it."""
    from ft_assets.dataset.snapshot import state_digest
    from ft_assets.state_ledger import CLAIM_STANDS, claim

    marks = [] if start.why == "new examples" else [f"{start.why}: {champion_of(state, spec)}"]
    digest = state_digest([*new, *marks], recipe_digest(spec), str(spec.base_model))
    before = instance.get_runs(dg.RunsFilter(job_name="retrain", tags={PARTITION_TAG: spec.name, STATE_TAG: digest}))
    if len(before) >= ATTEMPTS_PER_STATE:
        return Waiting(
            f"{spec.name} has {len(new)} new examples, but its last {len(before)} runs on them did not train "
            f"(see run {before[0].run_id[:8]}); it starts again by itself when data or recipe change"
        )
    attempt = len(before) + 1
    owner = claim(state, spec.name, digest, attempt, asked_by, now)
    if owner != asked_by:
        return Waiting(f"{spec.name} is due ({start.reason}), and {owner} asks for the run", now + CLAIM_STANDS)
    return Due(spec.name, digest, attempt, start.reason)


def champion_of(state: State, spec: Specialization) -> str:
    """The champion's digest, "" where there is none."""
    champion = state.champion(spec.name)
    return champion.model_digest if champion else ""


def spent_this_month(instance: dg.DagsterInstance, spec: Specialization, now: datetime) -> tuple[int, float | None]:
    """Runs of the line since the first of the month (UTC), and their dollars: what a training reported as its cost, and
    the whole time of a run that reported none. None where an hour has no price. Asked only of lines with a budget."""
    from ft_assets.retraining.decision import month_of

    trigger, price = spec.trigger, spec.compute.dollars_per_gpu_hour
    if trigger.runs_per_month is None and trigger.dollars_per_month is None:
        return 0, None
    records = instance.get_run_records(
        dg.RunsFilter(job_name="retrain", tags={PARTITION_TAG: spec.name}, created_after=month_of(now))
    )
    if price is None:
        return len(records), None
    reported = reported_dollars(instance, spec, month_of(now))
    silent = [record for record in records if record.dagster_run.run_id not in reported and record.start_time]
    seconds = sum((record.end_time or now.timestamp()) - (record.start_time or 0.0) for record in silent)
    return len(records), sum(reported.values()) + seconds / 3600 * price * max(1, spec.compute.gpus)


def reported_dollars(instance: dg.DagsterInstance, spec: Specialization, since: datetime) -> dict[str, float]:
    """Run id to the cost that its training reported."""
    wanted = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(COSTLY_STEP), asset_partitions=[spec.name], after_timestamp=since.timestamp()
    )
    found = {}
    for record in instance.fetch_materializations(wanted, limit=1000).records:
        made = record.asset_materialization
        if made and (cost := made.metadata.get("cost_dollars")) is not None:
            found[record.run_id] = float(str(cost.value))
    return found


def utc_now() -> datetime:
    """The time of this look."""
    return datetime.now(UTC)

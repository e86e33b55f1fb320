"""What becomes of a step that was cut off: the executor of a cluster, which retries by cause.

Dagster's retry policies know no cause, and run inside the step, which a dead pod has not got. So the executor decides:
a lost pod is replaced once, and its training goes on from the newest valid checkpoint; one that was OOM-killed goes on
with smaller micro-batches where the step knows how; nothing else is tried again.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData, StepRetryData
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._core.executor.step_delegating.step_handler.base import StepHandlerContext
from dagster._utils.error import SerializableErrorInfo

from ft_assets.cluster.pod_failures import Cause, Trouble
from ft_assets.defs.cluster_client import API_FAILURES
from ft_assets.defs.conventions import SETTINGS
from ft_assets.defs.execution import OOM_KILLED, SMALLER
from ft_assets.defs.step_pods import StepPods

if TYPE_CHECKING or SETTINGS.execution == "k8s":  # a second of CPU that only a cluster pays
    from dagster_k8s.executor import _K8S_EXECUTOR_CONFIG_SCHEMA, k8s_job_executor

POLL_SECONDS = 5
# One logical retry for a pod that a cluster took away; micro-batches are halved three times at most.
RETRIES = {Cause.LOST: 1, Cause.OUT_OF_MEMORY: 3}
KILLED_INSIDE = "DeviceLost"  # one of several processes of a training was killed, and the step could still say so
CUT_OFF = {"DagsterExecutionInterruptedError", "TrainingInterrupted", KILLED_INSIDE}  # the others tell of SIGTERM
LATE = "LeaseLost"  # a step that a successor has taken the place of
OVER = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
CAME_BACK = "A former attempt of this step, whose pod was given up, ended late; the step goes on without it."
CANNOT_HELP = {Cause.IMAGE, Cause.OUT_OF_MEMORY}  # running again, before somebody changes something


class RetryingExecutor(StepDelegatingExecutor):
    """dagster-k8s's executor, which knows why a step was cut off."""

    def __init__(self, pods: StepPods, **kwargs: Any):
        super().__init__(pods, **kwargs)
        self._pods = pods
        pods.decide = self._decided
        self._launched: dict[str, StepHandlerContext] = {}
        self._spent: Counter[tuple[str, Cause]] = Counter()

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        """dagster-k8s's loop. A run that was cancelled ends its steps and gives back its pool slots.

        That loop would keep both: where runs are resumed it takes every SIGTERM for that of a lost worker.
        """
        try:
            yield from super().execute(plan_context, execution_plan)
        finally:
            run = plan_context.instance.get_run_by_id(plan_context.run_id)
            if run is not None and run.status in OVER:
                self._end_steps()
                plan_context.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

    def _end_steps(self) -> None:
        for step_key, context in list(self._launched.items())[:1]:  # each of them knows the run
            try:
                self._pods.end_run(context)
            except API_FAILURES as error:
                self._say(step_key, f"Jobs could not be deleted ({error}); the reaper does so when the run is over.")

    def _get_step_handler_context(self, plan_context: Any, steps: Any, active_execution: Any) -> StepHandlerContext:
        context = super()._get_step_handler_context(plan_context, steps, active_execution)
        self._launched.update(dict.fromkeys((step.key for step in steps), context))
        return context

    def log_failure_or_retry_event_after_error(
        self, step_context: Any, err_info: SerializableErrorInfo, known_state: Any
    ) -> DagsterEvent:
        """Logs what becomes of a step whose pod is in trouble. Any other error ends it."""
        trouble = self._pods.troubles.pop(step_context.step.key, None)
        if trouble is None:
            data = StepFailureData(error=err_info, user_failure_data=None)
            return DagsterEvent.step_failure_event(step_context=step_context, step_failure_data=data)
        return self._decided(step_context, trouble)

    def _decided(self, step_context: Any, trouble: Trouble) -> DagsterEvent:
        """Logs whether a step whose Job was deleted is tried again."""
        if self._may_retry(step_context.step.key, trouble.cause, step_context.step.tags):
            return DagsterEvent.step_retry_event(step_context, StepRetryData(error=_error(trouble, goes_on=True)))
        failure = StepFailureData(error=_error(trouble, goes_on=False), user_failure_data=None)
        return DagsterEvent.step_failure_event(step_context=step_context, step_failure_data=failure)

    def _pop_events(self, instance: dg.DagsterInstance, run_id: str, seen_storage_ids: set[int]) -> list[DagsterEvent]:
        events = super()._pop_events(instance, run_id, seen_storage_ids)
        judged = (self._judged(instance, run_id, event) for event in events)
        return [event for event in judged if event is not None]

    def _judged(self, instance: dg.DagsterInstance, run_id: str, event: DagsterEvent) -> DagsterEvent | None:
        """The event as the run is to see it: a step that was cut off did not fail, and a former attempt has no say."""
        if not event.is_step_failure or event.step_key is None:
            return event
        names, step_key = set(_names(event.step_failure_data.error)), event.step_key
        was_replaced = any(self._spent[step_key, cause] for cause in RETRIES)
        if LATE in names and was_replaced:
            self._say(step_key, CAME_BACK)
            return None
        if event.step_failure_data.error_source != ErrorSource.INTERRUPT and not names & CUT_OFF:
            return event
        run = instance.get_run_by_id(run_id)
        if run is None or run.status in OVER:
            return event
        trouble = self._killed_inside(step_key) if KILLED_INSIDE in names else self._told_to_end(step_key)
        if trouble is None and was_replaced:
            self._say(step_key, CAME_BACK)
            return None
        trouble = trouble or Trouble(Cause.LOST, "Its pod got SIGTERM.")
        if not self._may_retry(step_key, trouble.cause, self._tags(step_key)):
            return event
        error = _error(self._removed(step_key, trouble), goes_on=True)
        self._say(step_key, error.message)
        return event._replace(
            event_type_value=DagsterEventType.STEP_UP_FOR_RETRY.value, event_specific_data=StepRetryData(error=error)
        )

    def _killed_inside(self, step_key: str) -> Trouble:
        """Why a process of the step's training was killed."""
        context = self._launched.get(step_key)
        try:
            if context:
                return self._pods.killed_inside(context)
        except API_FAILURES as error:
            self._say(step_key, f"The API server does not say why a process was killed: {error}")
        return Trouble(Cause.LOST, "A process of its training was killed.")

    def _tags(self, step_key: str) -> Any:
        context = self._launched.get(step_key)
        return context.step_tags[step_key] if context else {}

    def _told_to_end(self, step_key: str) -> Trouble | None:
        """What the cluster says about the end of the step's pod; None while it knows of none."""
        context = self._launched.get(step_key)
        try:
            found = self._pods.trouble(context) if context else None
        except API_FAILURES:
            return None
        return found if found and found.cause == Cause.LOST else None

    def _removed(self, step_key: str, trouble: Trouble) -> Trouble:
        """The trouble with the pod's last lines, once its Job is deleted."""
        if context := self._launched.get(step_key):
            try:
                return self._pods.removed(context, trouble)
            except API_FAILURES as error:
                self._say(step_key, f"Its Job could not be deleted ({error}); the reaper does so when the run is over.")
        return trouble

    def _may_retry(self, step_key: str, cause: Cause, tags: Any) -> bool:
        if self.retries.disabled or (cause == Cause.OUT_OF_MEMORY and SMALLER not in tags):
            return False
        if self._spent[step_key, cause] >= RETRIES.get(cause, 0):
            return False
        self._spent[step_key, cause] += 1
        return True

    def _say(self, step_key: str, words: str) -> None:
        if context := self._launched.get(step_key):
            DagsterEvent.engine_event(context.get_step_context(step_key), words, EngineEventData())


def _error(trouble: Trouble, goes_on: bool) -> SerializableErrorInfo:
    """The trouble as the event log and the failure sensor read it."""
    told = {
        Cause.LOST: " A new pod takes its place once; a training goes on from its newest valid checkpoint.",
        Cause.OUT_OF_MEMORY: " A new pod goes on with half the micro-batch and doubled accumulation.",
    }
    ending = {
        Cause.LOST: " It was replaced once already. Launch it again: a training goes on from its newest checkpoint.",
        Cause.OUT_OF_MEMORY: f" {OOM_KILLED} again and again, or the step has no smaller form: raise compute.memory.",
    }
    words = trouble.words + (told if goes_on else ending).get(trouble.cause, " Its Job was deleted.")
    if trouble.last_lines:
        words += f"\nThe last lines of its pod:\n{trouble.last_lines}"
    kind = "NotRerunnable" if trouble.cause in CANNOT_HELP and not goes_on else "Rerunnable"
    return SerializableErrorInfo(message=words, stack=[], cls_name=kind)


def _names(error: SerializableErrorInfo | None) -> Iterator[str]:
    """Class names of an error and of what caused it."""
    while error is not None:
        yield error.cls_name or ""
        error = error.cause


def step_pods() -> dg.ExecutorDefinition:
    """`k8s_job_executor` with its config, and `poll_seconds`, the time between two looks at a step's pod."""
    return dg.ExecutorDefinition(
        name="k8s",
        config_schema={**_K8S_EXECUTOR_CONFIG_SCHEMA, "poll_seconds": dg.Field(int, default_value=POLL_SECONDS)},
        executor_creation_fn=_made,
        requirements=multiple_process_executor_requirements(),
    )


def _made(init_context: dg.InitExecutorContext) -> RetryingExecutor:
    make: Any = k8s_job_executor.executor_creation_fn
    stock, config = make(init_context), init_context.executor_config
    return RetryingExecutor(
        StepPods(stock._step_handler),
        retries=stock.retries,
        check_step_health_interval_seconds=config["poll_seconds"],
        max_concurrent=config.get("max_concurrent"),
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
        should_verify_step=True,
        step_dependency_config=stock.step_dependency_config,
    )

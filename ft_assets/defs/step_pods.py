"""Steps as Kubernetes Jobs, whose troubles are understood: dagster-k8s's executor with eyes.

What dagster-k8s does not do: it never looks at a pod, so that one which cannot be scheduled hangs for ever; and it
cannot give a pod what its partition asks for. What becomes of a step that was cut off is decided in step_retries.py.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import IStepContext
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.executor.step_delegating import CheckStepHealthResult
from dagster._core.executor.step_delegating.step_handler.base import StepHandlerContext
from dagster._utils.error import SerializableErrorInfo

from ft_assets.cluster.pod_config import GPU as GPU_RESOURCE
from ft_assets.cluster.pod_config import step_pod
from ft_assets.cluster.pod_failures import Cause, Trouble, trouble_of
from ft_assets.cluster.pod_places import holders
from ft_assets.cluster.reaper import COMPONENT_LABEL, RUN_LABEL
from ft_assets.defs.cluster_client import ClusterClient, refusal
from ft_assets.defs.conventions import SETTINGS, SPECIALIZATIONS
from ft_assets.defs.execution import GPU, GPU_NODES, NEEDS

if TYPE_CHECKING or SETTINGS.execution == "k8s":  # a second of CPU that only a cluster pays
    from dagster_k8s.client import DagsterK8sAPIRetryLimitExceeded, DagsterK8sUnrecoverableAPIError
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.executor import K8sStepHandler
    from dagster_k8s.job import UserDefinedDagsterK8sConfig
else:
    K8sStepHandler = object

LAST_LINES = 20
CONFLICT = 409
ENDING_SECONDS = 30  # a step that has said how it went ends at once


class StepPods(K8sStepHandler):
    """Launches each step with its line's compute, and finds out from Job, pod and events why one does not go on."""

    def __init__(self, stock: K8sStepHandler):
        vars(self).update(vars(stock))  # what dagster-k8s made of the executor's config
        self._api_client = self.client = ClusterClient.like(stock._api_client)
        self._since: dict[tuple[str, Cause], float] = {}
        self.troubles: dict[str, Trouble] = {}
        self._waiting: set[str] = set()  # steps of which it was said that they wait for a GPU
        self.decide: Callable[[IStepContext, Trouble], DagsterEvent] | None = None  # the executor's

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Creates the step's Job. An API server that refuses it, or never answers, fails this step in its own words.

        A run worker that took over from a lost one launches again what it finds in trouble; that is decided first.
        """
        step_key = self._get_step_key(step_handler_context)
        context = step_handler_context.get_step_context(step_key)
        if self.decide and (trouble := self.troubles.pop(step_key, None)):
            yield self.decide(context, trouble)
            return
        try:
            yield from super().launch_step(step_handler_context)
        except (DagsterK8sUnrecoverableAPIError, DagsterK8sAPIRetryLimitExceeded) as error:
            if getattr(error.k8s_api_exception, "status", None) == CONFLICT:
                return  # the lost run worker had created it already
            refused = isinstance(error, DagsterK8sUnrecoverableAPIError)
            words = f"The API server {'refuses' if refused else 'never took'} its Job: {refusal(error)}"
            kind = "NotRerunnable" if refused else "Rerunnable"
            data = StepFailureData(SerializableErrorInfo(words, [], kind), user_failure_data=None)
            yield DagsterEvent.step_failure_event(context, data)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Unhealthy once a trouble lasts; its Job is deleted then, so that nothing of it starts or goes on later."""
        trouble = self.trouble(step_handler_context)
        job_name = self._get_k8s_step_job_name(step_handler_context)
        if trouble is None:
            self._since = {key: since for key, since in self._since.items() if key[0] != job_name}
            return CheckStepHealthResult.healthy()
        since = self._since.setdefault((job_name, trouble.cause), time.monotonic())
        if time.monotonic() - since < trouble.after_seconds:
            return CheckStepHealthResult.healthy()
        trouble = self.removed(step_handler_context, trouble)
        self.troubles[self._get_step_key(step_handler_context)] = trouble
        return CheckStepHealthResult.unhealthy(reason=trouble.words)

    def trouble(self, step_handler_context: StepHandlerContext) -> Trouble | None:
        """What the cluster says now about a step's Job; None while all is well."""
        name, namespace = self._place(step_handler_context)
        job, pods = self.client.job(name, namespace), self.client.pods_of(name, namespace)
        waits = not pods or any(pod.get("status", {}).get("phase") == "Pending" for pod in pods)
        asked_for = [name, *(pod["metadata"]["name"] for pod in pods)]
        events = self.client.events_of(asked_for, namespace) if waits else ()
        known = step_handler_context.execute_step_args.known_state
        attempts = known.get_retry_state().get_attempt_count(self._get_step_key(step_handler_context)) if known else 0
        found = trouble_of(job, pods, events, is_retry=attempts > 0)
        return None if self._waits_for_others(step_handler_context, found, pods, namespace) else found

    def _waits_for_others(
        self, context: StepHandlerContext, found: Trouble | None, pods: Sequence[Mapping[str, Any]], namespace: str
    ) -> bool:
        """Whether a step's pod has no GPU only because pods of runs hold them, which will end; says so once.

        The last step's pod is still there for a moment after its step, and another run's may train for hours.
        """
        if found is None or found.cause != Cause.UNSCHEDULABLE or f"Insufficient {GPU_RESOURCE}" not in found.words:
            return False
        (waiting,) = pods[-1:]
        named = holders(waiting, self.client.pods_with(RUN_LABEL, namespace))
        step_key = self._get_step_key(context)
        if named and step_key not in self._waiting:
            self._waiting.add(step_key)
            words = f"Its pod waits for a GPU: {', '.join(named)} hold{'s' if len(named) == 1 else ''} what there is."
            DagsterEvent.engine_event(context.get_step_context(step_key), words, EngineEventData())
        return bool(named)

    def killed_inside(self, step_handler_context: StepHandlerContext) -> Trouble:
        """Why a process below the step's own was killed: for its memory, if the node says so once the pod has ended."""
        name, namespace = self._place(step_handler_context)
        for _ in range(ENDING_SECONDS):
            pods = self.client.pods_of(name, namespace)
            if all(pod.get("status", {}).get("phase") in ("Succeeded", "Failed") for pod in pods):
                break
            time.sleep(1)
        found = self.trouble(step_handler_context)
        if found and found.cause == Cause.OUT_OF_MEMORY:
            return found
        return Trouble(Cause.LOST, "A process of its training was killed, and its node does not say why.")

    def removed(self, step_handler_context: StepHandlerContext, trouble: Trouble) -> Trouble:
        """Deletes the step's Job; the trouble with the last lines of its pod, which are gone with it."""
        name, namespace = self._place(step_handler_context)
        pods = self.client.pods_of(name, namespace)
        lines = "\n".join(self.client.last_lines(pod["metadata"]["name"], namespace, LAST_LINES) for pod in pods)
        self.client.delete_job(name, namespace)
        return replace(trouble, last_lines=lines.strip())

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Deletes the step's Job with its pod."""
        name, namespace = self._place(step_handler_context)
        context = step_handler_context.get_step_context(self._get_step_key(step_handler_context))
        yield DagsterEvent.engine_event(context, f"Deleting Kubernetes job {name} for step", EngineEventData())
        self.client.delete_job(name, namespace)

    def end_run(self, step_handler_context: StepHandlerContext) -> None:
        """Deletes the Jobs of all steps of the run, with their pods."""
        _, namespace = self._place(step_handler_context)
        mine = f"{RUN_LABEL}={step_handler_context.dagster_run.run_id},{COMPONENT_LABEL}=step_worker"
        for job in self.client.jobs(namespace, mine):
            self.client.delete_job(job["metadata"]["name"], namespace)

    def _place(self, step_handler_context: StepHandlerContext) -> tuple[str, str]:
        namespace = self._get_container_context(step_handler_context).namespace
        return self._get_k8s_step_job_name(step_handler_context), str(namespace)

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> "K8sContainerContext":
        context = super()._get_container_context(step_handler_context)
        tags = step_handler_context.step_tags[self._get_step_key(step_handler_context)]
        line = SPECIALIZATIONS.get(line_of(step_handler_context.dagster_run.tags) or "")
        compute = line.compute if line and tags.get(NEEDS) == GPU else None
        config = step_pod(context.run_k8s_config.to_dict(), compute, GPU_NODES, line.name if line else None)
        return context._replace(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(config))


def line_of(tags: Mapping[str, str]) -> str | None:
    """The partition that a run is for, however it was launched; None for a run over several or over none."""
    first, last = tags.get("dagster/asset_partition_range_start"), tags.get("dagster/asset_partition_range_end")
    return tags.get("dagster/partition") or (first if first == last else None)

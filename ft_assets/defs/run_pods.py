"""Runs as Kubernetes Jobs: dagster-k8s's launcher, for the instance of a cluster.

    run_launcher:
      module: ft_assets.defs.run_pods
      class: RunPods
      config: {...}  # as for K8sRunLauncher

FT_ASSETS_EXECUTION must be k8s wherever this instance is loaded: daemon, web server, code server, pods.
"""

import os
import time
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from ft_assets.cluster.pod_failures import left_behind
from ft_assets.defs.cluster_client import API_FAILURES, ClusterClient, refusal
from ft_assets.defs.conventions import SETTINGS

if TYPE_CHECKING or SETTINGS.execution == "k8s":  # a second of CPU that only a cluster pays
    from dagster_k8s.job import get_job_name_from_run_id
    from dagster_k8s.launcher import K8sRunLauncher
else:
    K8sRunLauncher = object

STEP_KEY = "DAGSTER_RUN_STEP_KEY"  # dagster-k8s sets it in the pod of a step


class RunPods(K8sRunLauncher):
    """K8sRunLauncher, which ends a run by deleting its Job, so that it may do without deleting pods, and looks at the
    run worker's pod before it says how the worker is.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        if STEP_KEY in os.environ:
            # With run monitoring every instance makes its launcher, to ask what it is capable of. A step's pod has no
            # token to make a client with, and launches nothing.
            self._inst_data, self._instance_weakref = kwargs.get("inst_data"), None
            return
        super().__init__(*args, **kwargs)
        self._api_client = self.client = ClusterClient.like(self._api_client)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """How the run's worker is. What dagster-k8s cannot know is corrected.

        An API server that gives no answer says nothing about the worker, and a second worker beside a living first one
        is worse than a late one. A pod on a node that does not answer stays where it is for ever, and its Job with it.
        """
        found: CheckRunHealthResult = super().check_run_worker_health(run)
        if found.status not in (WorkerStatus.UNKNOWN, WorkerStatus.RUNNING):
            return found
        name = get_job_name_from_run_id(run.run_id, resume_attempt_number=self._get_resume_attempt_number(run))
        namespace = str(self.get_container_context_for_run(run).namespace)
        try:
            if self.client.job(name, namespace) is None:
                return CheckRunHealthResult(WorkerStatus.UNKNOWN, f"Job {name} is gone")
            lost = left_behind(self.client.pods_of(name, namespace), time.time())
        except API_FAILURES as error:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"The API server does not say: {refusal(error)}")
        return CheckRunHealthResult(WorkerStatus.FAILED, lost) if lost else CheckRunHealthResult(WorkerStatus.RUNNING)

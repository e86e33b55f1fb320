"""Runs as Kubernetes Jobs: dagster-k8s's launcher, for the instance of a cluster.

    run_launcher:
      module: ft_assets.defs.run_pods
      class: RunPods
      config: {...}  # as for K8sRunLauncher

FT_ASSETS_EXECUTION must be k8s wherever this instance is loaded: daemon, web server, code server, pods.
"""

from typing import TYPE_CHECKING, Any

from ft_assets.defs.cluster_client import ClusterClient
from ft_assets.defs.conventions import SETTINGS

if TYPE_CHECKING or SETTINGS.execution == "k8s":  # a second of CPU that only a cluster pays
    from dagster_k8s.launcher import K8sRunLauncher
else:
    K8sRunLauncher = object


class RunPods(K8sRunLauncher):
    """K8sRunLauncher, which ends a run by deleting its Job and may therefore do without deleting pods."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._api_client = self.client = ClusterClient.like(self._api_client)

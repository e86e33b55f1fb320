"""How busy the machine is, as MLflow's own monitors measure it: the figures of its "system metrics" page."""

import logging
from typing import Any

log = logging.getLogger(__name__)


class MachineMetrics:
    """Samples of CPU, memory, disk, network and, where `nvidia-ml-py` is installed, GPUs.

    MLflow's SystemMetricsMonitor sends them itself, and stops for good at the first request that fails; so only its
    parts that measure are used.
    """

    def __init__(self) -> None:
        self._monitors: list[Any] | None = None

    def sample(self) -> dict[str, float]:
        """Metrics since the last sample, named as MLflow names them: `system/cpu_utilization_percentage` and so on."""
        if self._monitors is None:
            self._monitors = _monitors()
        found: dict[str, float] = {}
        for monitor in self._monitors:
            try:
                monitor.collect_metrics()
                found.update(monitor.aggregate_metrics())
                monitor.clear_metrics()
            except Exception as error:  # a device that went away; the others are still worth a look
                log.debug("No figures from %s: %s", type(monitor).__name__, error)
        return {f"system/{name}": value for name, value in found.items()}


def _monitors() -> list[Any]:
    try:
        return _started()
    except ImportError as error:
        log.warning("No system metrics, because their library is not installed: %s", error)
        return []


def _started() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        try:
            monitors.append(kind())
        except Exception as error:  # no such device, no driver, or the library is not there
            log.debug("No %s: %s", kind.__name__, error)
    return monitors

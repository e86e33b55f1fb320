"""One tick of a sensor, on a real instance."""

from functools import cache
from typing import Any

import dagster as dg

from ft_assets.definitions import defs


@cache
def repository() -> dg.RepositoryDefinition:
    return defs().get_repository_def()


def tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, resources: dict[str, Any], cursor: str | None = None
):
    needed = {key: resources[key] for key in sensor.required_resource_keys}
    context = dg.build_sensor_context(instance=instance, resources=needed, cursor=cursor, repository_def=repository())
    return sensor.evaluate_tick(context)

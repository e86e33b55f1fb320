import dagster as dg

from ft_assets.defs.conventions import SETTINGS
from ft_assets.defs.execution import executor
from ft_assets.lake import Lake
from ft_assets.state import State
from ft_assets.tracking import Tracking


@dg.definitions
def resources() -> dg.Definitions:
    """Plain objects that open nothing before they are used."""
    lake = Lake(SETTINGS.lake_url, SETTINGS.cache_dir)
    return dg.Definitions(
        resources={
            "lake": lake,
            "state": State(SETTINGS.state_url),
            "tracking": Tracking(SETTINGS.mlflow_tracking_uri, lake.work_dir("tracking")),
        },
        executor=executor(),
    )

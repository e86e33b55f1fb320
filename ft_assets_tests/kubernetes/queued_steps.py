"""The steps of failing_steps, and the sensor that tidies up after runs that are over."""

import dagster as dg

from ft_assets.defs.execution import executor
from ft_assets.defs.reaper import jobs_of_finished_runs
from ft_assets_tests.kubernetes.failing_steps import counted, trained

defs = dg.Definitions(assets=[trained, counted], sensors=[jobs_of_finished_runs], executor=executor())

"""The name of a metric in a specialization: checked when the YAML is read. Light: METRICS loads no library."""

from typing import Annotated

from pydantic import AfterValidator

from ft_assets.evaluation.metrics import ALIASES, METRICS


def _known(name: str) -> str:
    if name not in METRICS and name not in ALIASES:
        raise ValueError(f"found {name!r}, allowed: {', '.join(repr(known) for known in (*METRICS, *ALIASES))}")
    return name


def _a_single_one(name: str) -> str:
    if name in ALIASES:
        raise ValueError(f"{name!r} stands for {', '.join(ALIASES[name])}, and this needs one of them")
    return name


MetricName = Annotated[str, AfterValidator(_known)]
OneMetric = Annotated[MetricName, AfterValidator(_a_single_one)]

"""Which slices may be called worse: of many, some always look so."""

from collections.abc import Mapping

from ft_assets.evaluation.deciding.paired_points import PairedPoints
from ft_assets.evaluation.statistics import differences, holm, superiority_p_value

FAMILY_LEVEL = 0.05


def worse_slices(slices: Mapping[str, PairedPoints], higher_is_better: bool = True) -> list[str]:
    """The names of the slices in which the candidate is shown to be worse, in the order given.

    With chance 95 % not one of them is named wrongly, however many slices there are (Holm 1979). Slices without rows
    are passed over.
    """
    tested = {name: points for name, points in slices.items() if len(points.clusters)}  # type: ignore[arg-type]
    p_values = []
    for points in tested.values():
        data = differences(points.candidate, points.other, points.possible, points.clusters)
        p_values.append(superiority_p_value(data.reversed() if higher_is_better else data))
    named = zip(tested, holm(p_values, FAMILY_LEVEL), strict=True)
    return [name for name, is_worse in named if is_worse]

"""What the decision about a line rests on, read from lake and state database."""

from datetime import datetime
from typing import TYPE_CHECKING

from ft_assets.lake import Lake
from ft_assets.retraining.counting import Counted
from ft_assets.retraining.decision import Situation, Spent
from ft_assets.retraining.drift import RatingFall, rating_fall
from ft_assets.state import State
from ft_assets.state_registry import registrations
from ft_assets.state_relearn import must_relearn

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Specialization


def situation_of(
    lake: Lake,
    state: State,
    spec: "Specialization",
    counted: Counted,
    threshold: int,
    now: datetime,
    spent: tuple[int, float | None] | None = None,
) -> Situation:
    """The line's situation. `spent` are runs and dollars of this month; who cannot know them (the command line) leaves
    them out, and the budget is not looked at."""
    from ft_assets.dataset.snapshot import why_waiting

    last = state.last_trained(spec.name)
    told = why_waiting(spec.name, len(counted.new), threshold, counted.drops)
    if counted.unreadable:
        snapshots = ", ".join(snapshot[:12] for snapshot in counted.unreadable)
        told += f" (snapshot {snapshots} cannot be read any more: what only it held counts as new)"
    return Situation(
        line=spec.name,
        new=len(counted.new),
        eligible=counted.eligible,
        threshold=threshold,
        told=told,
        last_trained=last.at if last else None,
        spent=Spent(*spent) if spent else None,
        tainted=must_relearn(state, spec.name) or "",
        ratings=ratings_of_champion(lake, state, spec, now),
    )


def ratings_of_champion(lake: Lake, state: State, spec: "Specialization", now: datetime) -> RatingFall | None:
    """Its ratings, by its version name or its digest in the column `model_version`; None where the line does not look
    at drift or has no champion."""
    champion, last = state.champion(spec.name), state.last_trained(spec.name)
    if spec.trigger.drift is None or champion is None:
        return None
    names = {
        each.version_name for each in registrations(state, spec.name) if each.model_digest == champion.model_digest
    }
    names.add(champion.model_digest)
    return rating_fall(lake, names, spec.trigger.drift, last.at if last else None, now)

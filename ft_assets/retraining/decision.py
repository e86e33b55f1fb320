"""Whether a line is trained now: the rule, with the numbers behind a yes and behind a no. No lake, no clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from ft_assets.retraining.drift import RatingFall

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Trigger

Why = Literal["new examples", "tainted model", "falling ratings"]


@dataclass(frozen=True)
class Spent:
    """What the line's runs of this calendar month (UTC) took, those that failed included. `dollars` is None while
    `compute.dollars_per_gpu_hour` is not set."""

    runs: int = 0
    dollars: float | None = None


@dataclass(frozen=True)
class Situation:
    """Everything that the decision rests on. `told` is the sentence about what is new, for a line that waits for more.

    `tainted` says why the line must be trained again whatever is new (`state_relearn.must_relearn`), else "".
    `spent` is None where nobody knows it (the command line sees no runs): then the budget is not looked at.
    """

    line: str
    new: int
    eligible: int
    threshold: int
    told: str
    last_trained: datetime | None = None
    spent: Spent | None = None
    tainted: str = ""
    ratings: RatingFall | None = None


@dataclass(frozen=True)
class Start:
    """Train now, because of `why`."""

    why: Why
    reason: str


@dataclass(frozen=True)
class Wait:
    """Do not. `until` is when time alone may change the answer, None where only data or somebody can."""

    reason: str
    until: datetime | None = None


def decide(situation: Situation, trigger: "Trigger", now: datetime) -> Start | Wait:
    """Enough new examples start a run; so do a tainted model, and ratings that fall while anything at all is new.

    Below `minimum_examples` nothing is trained. A cooldown delays everything but the replacement of a tainted
    model; the month's budget delays that, too, because it is what somebody can pay.
    """
    at, line = situation, situation.line
    start = _reason_to_train(at)
    if start is None:
        drift = f"; {at.ratings.in_words}" if at.ratings and trigger.drift else ""
        return Wait(f"{at.told}{drift}", _end_of_window(trigger, now))
    if at.eligible < trigger.minimum_examples:
        return Wait(f"{line} has {at.eligible} train rows, minimum_examples is {trigger.minimum_examples}")
    ready = _end_of_cooldown(at, trigger)
    if ready and now < ready and start.why != "tainted model":
        return Wait(
            f"{line} is due ({start.reason}) and cools down: it was trained {_hours(now, at.last_trained)} h ago, "
            f"cooldown_hours is {trigger.cooldown_hours:g}, so it starts after {_shown(ready)}",
            ready,
        )
    if told := _over_budget(at, trigger):
        return Wait(f"{line} is due ({start.reason}) and {told}", next_month(now))
    return start


def month_of(now: datetime) -> datetime:
    """When the calendar month of `now` began, UTC."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(now: datetime) -> datetime:
    """When the next one begins."""
    return month_of(month_of(now) + timedelta(days=32))


def _reason_to_train(at: Situation) -> Start | None:
    if at.tainted:
        return Start("tainted model", f"{at.tainted}, and is replaced")
    if at.new >= at.threshold:
        return Start("new examples", f"{at.line} has {at.new} new examples, {at.threshold} start a run")
    if at.ratings and at.ratings.is_drift and at.new:
        return Start("falling ratings", f"{at.line} has {at.new} new examples, and {at.ratings.in_words}")
    return None


def _end_of_cooldown(at: Situation, trigger: "Trigger") -> datetime | None:
    if at.last_trained is None or trigger.cooldown_hours is None:
        return None
    return at.last_trained + timedelta(hours=trigger.cooldown_hours)


def _over_budget(at: Situation, trigger: "Trigger") -> str:
    runs, dollars, spent = trigger.runs_per_month, trigger.dollars_per_month, at.spent
    if spent is None:
        return ""
    if runs is not None and spent.runs >= runs:
        return f"its budget is spent: {spent.runs} runs this month, those that failed included, of {runs}"
    if dollars is None:
        return ""
    if spent.dollars is None:
        return (
            "nobody can tell what it spends: dollars_per_month is set and compute.dollars_per_gpu_hour is not. "
            "Set it, or use runs_per_month"
        )
    if spent.dollars >= dollars:
        return f"its budget is spent: {spent.dollars:.2f} dollars this month, failed runs included, of {dollars:.2f}"
    return ""


def _end_of_window(trigger: "Trigger", now: datetime) -> datetime | None:
    """Ratings leave the window as days pass, so the answer may be another one tomorrow."""
    return now + timedelta(hours=6) if trigger.drift else None


def _hours(now: datetime, then: datetime | None) -> str:
    return f"{(now - then).total_seconds() / 3600:.1f}" if then else "?"


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

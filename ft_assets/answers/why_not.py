"""Why a model line was not retrained, or its newest model not promoted: the numbers behind both."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ft_assets.answers.named_models import name_of
from ft_assets.errors import FtAssetsError
from ft_assets.lake import Lake
from ft_assets.specializations.choice import why_skipped
from ft_assets.state import State
from ft_assets.state_registry import evaluations
from ft_assets.state_taints import taints

if TYPE_CHECKING:
    from ft_assets.answers.reported import Reported
    from ft_assets.specializations.specialization import Specialization


@dataclass(frozen=True)
class Retraining:
    """What a line has to learn from, counted as its sensor counts. `left_out` maps a reason to rows.

    `due` says that enough is there: the next tick of `new_high_score_samples` starts a run, if none is under way and
    the last runs on the same rows did not fail twice.
    """

    due: bool
    reason: str
    new: int = 0
    threshold: int = 0
    eligible: int = 0
    minimum: int = 0
    left_out: dict[str, int] | None = None
    last_trained_at: datetime | None = None
    last_model: str | None = None


@dataclass(frozen=True)
class NotPromoted:
    """Where the newest model stands. `missing` is empty when nothing stands against it."""

    candidate: str | None
    champion: str | None
    is_champion: bool
    missing: list[str]
    report: "Reported | None" = None
    champion_tainted: str = ""


@dataclass(frozen=True)
class WhyNot:
    """Both answers about one line."""

    specialization: str
    retraining: Retraining
    promotion: NotPromoted

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def why_not(state: State, lake: Lake, spec: "Specialization", split_key: str) -> WhyNot:
    """What stands between a line and its next model, and between its newest model and use."""
    retraining = why_not_retrained(state, lake, spec, split_key, datetime.now(UTC))
    return WhyNot(spec.name, retraining, why_not_promoted(state, lake, spec))


def why_not_retrained(state: State, lake: Lake, spec: "Specialization", split_key: str, now: datetime) -> Retraining:
    """The line's rows and reasons, by the functions that its sensor asks. Runs are Dagster's and stay out of it: so do
    the attempts that failed, and the month's budget."""
    from ft_assets.retraining.counting import count
    from ft_assets.retraining.decision import Start, decide
    from ft_assets.retraining.situation import situation_of

    if spec.status == "retired":
        return Retraining(False, f"{spec.name} is retired")
    if reason := why_skipped(spec):
        return Retraining(False, f"{spec.name} is skipped: {reason}")
    if not lake.exists("curated_examples"):
        return Retraining(False, "curated_examples does not exist yet: land interactions and run the job `curate`")
    counted, last = count(lake, state, spec, split_key), state.last_trained(spec.name)
    threshold = spec.trigger.new_examples
    decided = decide(situation_of(lake, state, spec, counted, threshold, now), spec.trigger, now)
    return Retraining(
        due=isinstance(decided, Start),
        reason=decided.reason,
        new=len(counted.new),
        threshold=threshold,
        eligible=counted.eligible,
        minimum=spec.trigger.minimum_examples,
        left_out=counted.drops,
        last_trained_at=last.at if last else None,
        last_model=name_of(state, spec.name, last.model_digest) if last else None,
    )


def why_not_promoted(state: State, lake: Lake, spec: "Specialization") -> NotPromoted:
    """What the candidate lacks to be champion: its report's reasons, a taint, an approval, or a fair comparison."""
    from ft_assets.answers.reported import reported

    champion, judged = state.champion(spec.name), evaluations(state, spec.name)
    now = champion.model_digest if champion else None
    tainted = "; ".join(taint.reason for taint in taints(state).get(now or "", []))
    if not judged:
        missing = ["no model of this line was registered yet"]
        return NotPromoted(None, name_of(state, spec.name, now), False, missing, champion_tainted=tainted)
    digest = judged[-1].model_digest
    return NotPromoted(
        candidate=name_of(state, spec.name, digest),
        champion=name_of(state, spec.name, now),
        is_champion=digest == now,
        missing=[] if digest == now else _missing(state, lake, spec, judged[-1].report_digest, digest, now),
        report=reported(lake, judged[-1].report_digest),
        champion_tainted=tainted,
    )


def _missing(
    state: State, lake: Lake, spec: "Specialization", report: str, digest: str, champion: str | None
) -> list[str]:
    from ft_assets.release.promotion import read_verdict, what_is_missing

    try:
        lake.artifact("adapter", digest)
        verdict = read_verdict(lake.artifact("report", report))
    except FtAssetsError as damage:
        return [str(damage)]
    missing = what_is_missing(state, verdict, spec.release.approval.required)
    found = [missing] if missing else []
    if verdict.incumbent != champion:
        judged_against, now = (
            name_of(state, spec.name, each) or "no champion" for each in (verdict.incumbent, champion)
        )
        found.append(
            f"it was judged against {judged_against}, and the champion is {now}: materialize evaluation_report and "
            "registered_model again"
        )
    return found or ["nothing: `ft-assets promote` or registered_model, materialized again, promotes it"]

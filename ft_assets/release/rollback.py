"""Back to an earlier champion, in one step and with a line in the history like any other change."""

from collections.abc import Sequence

from ft_assets.errors import PromotionRefused
from ft_assets.lake import Lake
from ft_assets.state import Promotion, State


def rollback(state: State, lake: Lake, specialization: str, by: str, why: str, to: str | None = None) -> Promotion:
    """Makes an earlier champion the champion again: `to`, or the one that today's champion once replaced.

    Its evidence is the report that it was last promoted on. The adapter is verified byte by byte before anything
    changes, because a rollback to a damaged model would leave nothing that works.

    Raises:
        PromotionRefused: there is nothing to return to, `to` never was champion, or it is tainted.
        IncompleteArtifact: its adapter is absent or damaged; name another one.
        StaleChampion: somebody else changed the champion meanwhile; look again.
    """
    history = state.promotions(specialization)
    if not by.strip() or not why.strip():
        raise PromotionRefused(f"{specialization}: a rollback has a name and a reason; give --by and --why.")
    target = to or _before(history)
    earlier = [each for each in history if each.model_digest == target and each.kind == "promotion"]
    if target is None or not earlier:
        raise PromotionRefused(_nothing_to_return_to(specialization, to, history))
    if history[-1].model_digest == target:
        raise PromotionRefused(f"{specialization}: {target[:12]} is the champion already.")
    lake.artifact("adapter", target)
    return state.promote(
        specialization,
        target,
        expected_previous=history[-1].model_digest,
        by=by.strip(),
        why=why.strip(),
        evidence=earlier[-1].evidence,
        kind="rollback",
    )


def _before(history: Sequence[Promotion]) -> str | None:
    """The champion that the present one replaced; a rollback takes back what it rolled back, so two of them go back
    two champions and not back and forth."""
    standing: list[str] = []
    for promotion in history:
        if promotion.kind == "rollback" and promotion.model_digest in standing:
            del standing[standing.index(promotion.model_digest) :]
        standing.append(promotion.model_digest)
    return standing[-2] if len(standing) > 1 else None


def _nothing_to_return_to(specialization: str, to: str | None, history: Sequence[Promotion]) -> str:
    champions = ", ".join(dict.fromkeys(promotion.model_digest[:12] for promotion in history)) or "none"
    what = f"{to[:12]} never was its champion" if to else "its champion replaced nobody that one could return to"
    return f"{specialization}: {what}. Champions so far: {champions}. Name one with --to."

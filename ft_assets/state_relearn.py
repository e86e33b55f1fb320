"""Whether a line has to be trained again although nothing new came in: because what it uses is tainted."""

from typing import TYPE_CHECKING

from ft_assets.state_taints import taints

if TYPE_CHECKING:
    from ft_assets.state import State


def must_relearn(state: "State", specialization: str) -> str | None:
    """Why the line is due whatever came in, or None: its champion or its newest model is tainted, and no model without
    a taint was trained since then."""
    tainted, champion, last = taints(state), state.champion(specialization), state.last_trained(specialization)
    using = {"champion": champion.model_digest if champion else "", "newest model": last.model_digest if last else ""}
    found = {which: tainted[digest] for which, digest in using.items() if digest in tainted}
    if not found:
        return None
    newest_taint = max(taint.at for reasons in found.values() for taint in reasons)
    if last and last.model_digest not in tainted and last.at > newest_taint:
        return None
    which, reasons = next(iter(found.items()))
    return f"{specialization}: its {which} is tainted ({'; '.join(taint.reason for taint in reasons)})"

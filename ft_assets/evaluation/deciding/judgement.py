"""From measured answers to a verdict, with the golden set's budget counted once an evaluation is whole."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ft_assets.evaluation.deciding.gate_evidence import lacking
from ft_assets.evaluation.deciding.gate_rules import GateRules
from ft_assets.evaluation.deciding.golden_budget import questions_of, take_decision
from ft_assets.evaluation.deciding.verdict import Verdict
from ft_assets.evaluation.gate import decide
from ft_assets.evaluation.side_by_side import SideBySide, evidence_of

if TYPE_CHECKING:
    from ft_assets.state import State


def judged(
    state: "State",
    specialization: str,
    rules: GateRules,
    result: SideBySide,
    models: Mapping[str, str],
    not_blocking: Mapping[str, str],
) -> Verdict:
    """The gate's verdict. `models` maps a side to its digest; `not_blocking` a suite to why it only informs.

    An evaluation that is not whole decides nothing, so it costs the golden set nothing either.
    """
    evidence = evidence_of(result, rules, None, not_blocking)
    suite = result.judged
    if suite.kind != "golden" or lacking(evidence, rules):
        return decide(evidence, rules)
    status = take_decision(
        state,
        specialization,
        suite.name,
        questions_of(suite.items),
        models["candidate"],
        models[evidence.incumbent],
        rules.golden_decisions,
    )
    return decide(evidence_of(result, rules, status, not_blocking), rules)

"""What the whole gate does to models whose true quality is known: its error rates and its power, by simulation.

A cell has so many clusters, rows a cluster, a discordance (the share of rows on which candidate and incumbent differ)
and a true gain. Every run draws the rows of all suites, makes the evidence and calls `decide`, guardrails included.
`python benchmarks/gate.py` prints the whole grid.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import betaincinv

from ft_assets.evaluation.deciding.gate_rules import FORGETTING, GENERAL_ABILITY, LENGTH, GateRules, Guardrail
from ft_assets.evaluation.gate import Evidence, Pair, PairedPoints, decide

CLUSTERS = (30, 50, 100, 300, 1_000)
DISCORDANCES = (0.1, 0.2, 0.3, 0.4, 0.5)
CLUSTER_SIZES = (1, 3, 10)
EQUAL, WORSE, BETTER = 0.0, -0.03, 0.10
GAINS = (EQUAL, WORSE, BETTER)
CONFIDENCE = 0.99  # of the bounds that are held against the bars
MOST_EQUAL, MOST_WORSE, LEAST_BETTER = 0.05, 0.01, 0.90

SHARED = 0.7  # the chance that a row of a cluster simply repeats what its cluster does
GENERAL_CLUSTERS, GENERAL_DISCORDANCE = 800, 0.1
BUSINESS = Guardrail(suite="judged suite", metric="json_matches_schema", margin=0.1, relative=False, blocks=True)
BUSINESS_DISCORDANCE = 0.02
RULES = GateRules.model_validate(
    {"primary_metric": "exact_match", "guardrails": (FORGETTING, LENGTH, BUSINESS), "minimum_clusters": 50}
)
SUITE = "golden set"
INCUMBENT: Literal["champion"] = "champion"

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One kind of comparison; `gain` is the candidate's true accuracy minus the incumbent's."""

    clusters: int
    discordance: float
    cluster_size: int
    gain: float


@dataclass(frozen=True)
class Rates:
    """What became of the runs of one cell; `naive` is what `candidate >= incumbent` would have promoted."""

    runs: int
    promoted: int
    rejected: int
    held: int
    naive: int

    @property
    def promoted_rate(self) -> float:
        """The share of runs that ended in promote."""
        return self.promoted / self.runs

    @property
    def upper(self) -> float:
        """Upper one-sided 99 % bound of that rate (Clopper and Pearson 1934)."""
        return upper_bound(self.promoted, self.runs)

    @property
    def lower(self) -> float:
        """Lower one-sided 99 % bound of that rate."""
        return 1 - upper_bound(self.runs - self.promoted, self.runs)


def grid() -> Iterator[Cell]:
    """Every cell, the sizes and discordances of one gain together."""
    for gain, clusters, size, discordance in product(GAINS, CLUSTERS, CLUSTER_SIZES, DISCORDANCES):
        yield Cell(clusters, discordance, size, gain)


def simulate(cell: Cell, runs: int, seed: int) -> Rates:
    """The outcomes of `runs` independent gates; the same seed and cell give the same."""
    generator = np.random.default_rng(
        [seed, cell.clusters, round(1000 * cell.discordance), cell.cluster_size, round(1000 * cell.gain) + 1000]
    )
    outcomes: Counter[str] = Counter()
    for _ in range(runs):
        evidence = draw(cell, generator)
        primary = evidence.pairs[Pair(SUITE, RULES.primary_metric, INCUMBENT)]
        outcomes["naive"] += bool(np.sum(primary.candidate) >= np.sum(primary.other))
        outcomes[decide(evidence, RULES).outcome] += 1
    return Rates(runs, outcomes["promote"], outcomes["reject"], outcomes["hold"], outcomes["naive"])


def bar_missed(cell: Cell, rates: Rates) -> str | None:
    """Which bar the cell misses by the 99 % bound of its rate; None where it misses none, or has none."""
    if cell.gain == EQUAL and rates.upper > MOST_EQUAL:
        return f"equal models are promoted in up to {100 * rates.upper:.2f} %, at most {100 * MOST_EQUAL:g} % may be"
    if cell.gain <= WORSE and rates.upper > MOST_WORSE:
        return f"models 3 points worse in up to {100 * rates.upper:.2f} %, at most {100 * MOST_WORSE:g} % may be"
    if has_power_bar(cell) and rates.lower < LEAST_BETTER:
        return f"models 10 points better in as few as {100 * rates.lower:.1f} %, {100 * LEAST_BETTER:g} % are needed"
    return None


def has_power_bar(cell: Cell) -> bool:
    """10 points better, at least 300 clusters, discordance up to 0.2: there the gate has to see it."""
    return cell.gain >= BETTER and cell.clusters >= 300 and cell.discordance <= 0.2


def upper_bound(hits: int, runs: int) -> float:
    """Upper one-sided 99 % bound of a rate from `hits` of `runs`."""
    return 1.0 if hits == runs else float(betaincinv(hits + 1, runs - hits, CONFIDENCE))


def draw(cell: Cell, generator: Generator) -> Evidence:
    """One evaluation: the judged suite with its length and its business metric, and the general-ability suite. The
    candidate differs from the incumbent in accuracy only, so that guardrails stop it by chance alone."""
    clusters = np.repeat(np.arange(cell.clusters), cell.cluster_size)
    general = Cell(GENERAL_CLUSTERS, GENERAL_DISCORDANCE, 1, EQUAL)
    business = Cell(cell.clusters, BUSINESS_DISCORDANCE, cell.cluster_size, EQUAL)
    lengths = generator.lognormal(4.0, 0.5, cell.clusters)[clusters]
    ours, theirs = (np.ceil(lengths * generator.lognormal(0.0, 0.3, len(clusters))) for _ in range(2))
    pairs = {
        Pair(SUITE, RULES.primary_metric, INCUMBENT): drawn_pairs(cell, generator),
        Pair(SUITE, BUSINESS.metric, INCUMBENT): drawn_pairs(business, generator),
        Pair(SUITE, LENGTH.metric, INCUMBENT): PairedPoints(clusters, ours, theirs, np.ones(len(clusters))),
        Pair(GENERAL_ABILITY, FORGETTING.metric, INCUMBENT): drawn_pairs(general, generator),
    }
    return Evidence(suite=SUITE, incumbent=INCUMBENT, pairs=pairs, coverage={SUITE: 1.0, GENERAL_ABILITY: 1.0})


def drawn_pairs(cell: Cell, generator: Generator) -> PairedPoints:
    """0/1 points of both models. A row repeats its cluster's outcome with chance SHARED, else it has its own."""
    clusters = np.repeat(np.arange(cell.clusters), cell.cluster_size)
    differences = _differences(cell, len(clusters), generator)
    if cell.cluster_size > 1:
        of_cluster = _differences(cell, cell.clusters, generator)[clusters]
        differences = np.where(generator.random(len(clusters)) < SHARED, of_cluster, differences)
    both_right = generator.random(len(clusters)) < 0.6
    candidate = np.where(differences == 0, both_right, differences > 0).astype(np.float64)
    other = np.where(differences == 0, both_right, differences < 0).astype(np.float64)
    return PairedPoints(clusters, candidate, other, np.ones(len(clusters)))


def rare_large_losses(clusters: int, loss: float, share: float, generator: Generator) -> PairedPoints:
    """A graded metric of two models that are equal on average: the candidate gains a little on most questions and loses
    `loss` on a rare `share`. What a percentile bootstrap, and a sign-flip test alone, take for progress."""
    lost = generator.random(clusters) < share
    gain = share * loss / (1 - share)
    other = np.full(clusters, max(loss, 0.5))
    candidate = other + np.where(lost, -loss, min(gain, 1 - other[0]))
    return PairedPoints(np.arange(clusters), candidate, other, np.ones(clusters))


def _differences(cell: Cell, count: int, generator: Generator) -> NDArray[np.int64]:
    """1 with chance (discordance + gain) / 2, -1 with chance (discordance - gain) / 2, else 0."""
    discordance = max(cell.discordance, abs(cell.gain))
    chances = generator.random(count)
    return (chances < (discordance + cell.gain) / 2).astype(np.int64) - (chances > 1 - (discordance - cell.gain) / 2)

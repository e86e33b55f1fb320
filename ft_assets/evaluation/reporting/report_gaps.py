"""What the numbers of a report leave open, found in its own facts."""

from ft_assets.evaluation.reporting.report_facts import AnsweredSuite, ReportFacts
from ft_assets.evaluation.reporting.report_figures import FEW_CLUSTERS
from ft_assets.evaluation.score import FACETS

NOT_ASKED = {
    "base_with_examples": "Whether prompting would have been enough: the base with examples was not asked.",
    "nearest_answer": "Template leakage: the nearest training answers were not scored.",
}


def gaps_of(facts: ReportFacts) -> list[str]:
    """One sentence each."""
    gaps = []
    if facts.candidate_is_champion:
        gaps.append("This model is the one in use, so the only comparison is with the base and the baselines.")
    elif "champion" not in facts.models:
        gaps.append("No model of this line is in use yet, so the only comparison is with the base and the baselines.")
    for suite in facts.suites:
        gaps += _of_suite(facts, suite)
    gaps += [told for side, told in NOT_ASKED.items() if side not in facts.judged.scores]
    kinds = {suite.kind for suite in facts.suites}
    if "general" not in kinds:
        gaps.append("Whether general ability was lost: no general-ability suite was asked.")
    if not facts.latency:
        gaps.append("Latency for one user: the models were not asked in turns on one machine.")
    if not facts.judge:
        gaps.append("Whether a judge finds the answers relevant and correct: no judge is configured.")
    if not facts.blind:
        gaps.append("Whether people prefer the answers: no verdict on a blind sample has come back.")
    if not facts.contamination:
        gaps.append("Contamination: the snapshot's own checks gave no figures to this report.")
    if not any(line.dollars is not None for line in facts.spent if line.what == "training"):
        gaps.append("Cost in dollars: no price of a GPU hour is set (compute.dollars_per_gpu_hour).")
    return gaps


def _of_suite(facts: ReportFacts, suite: AnsweredSuite) -> list[str]:
    gaps, clusters = [], len({item.cluster_id for item in suite.items})
    if clusters < facts.rules.minimum_clusters:
        gaps.append(f"Suite {suite.name}: {clusters} independent questions, too few for a verdict of its own.")
    if suite.name == facts.judged_suite and (few := _few(suite)):
        gaps.append(f"Suite {suite.name}: too few independent questions to say anything about {', '.join(few)}.")
    silent = [
        metric.name
        for metric in facts.metrics
        if not any(metric.name in row.points for side in suite.sides for row in suite.scores[side])
    ]
    if silent and suite.name == facts.judged_suite:
        gaps.append(f"Suite {suite.name}: no row can be judged by {', '.join(silent)}.")
    if not suite.batch_disagreement and suite.name == facts.judged_suite:
        gaps.append(f"Suite {suite.name}: whether another batch size changes the answers was not tried.")
    if suite.name == facts.judged_suite:
        metric = facts.metric(facts.primary_metric)
        rows = [row for row in suite.scores["candidate"] if metric.name not in row.points]
        if rows:
            gaps.append(f"Suite {suite.name}: {metric.name} does not apply to {len(rows)} rows, which do not count.")
    return gaps


def _few(suite: AnsweredSuite) -> list[str]:
    """Slices with too few clusters, with their sizes."""
    clusters: dict[tuple[str, str], set[str]] = {}
    for row in suite.scores["candidate"]:
        for facet in FACETS:
            if facet in row.facets:
                clusters.setdefault((facet, row.facets[facet]), set()).add(row.cluster_id)
    return [
        f"{facet.replace('_', ' ')} {name} ({len(found)})"
        for (facet, name), found in sorted(clusters.items())
        if len(found) < FEW_CLUSTERS
    ]

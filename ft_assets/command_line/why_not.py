from typing import TYPE_CHECKING

from ft_assets.command_line.arguments import AsJson, Line
from ft_assets.command_line.printing import heading, lines, pairs, print_json
from ft_assets.command_line.stores import Stores

if TYPE_CHECKING:
    from ft_assets.answers.why_not import NotPromoted, Retraining, WhyNot


def why_not(specialization: Line, as_json: AsJson = False) -> None:
    """Why a line was not retrained, and why its newest model is not the champion, with the numbers."""
    from ft_assets.answers import why_not as answers
    from ft_assets.answers.named_models import find_line

    stores = Stores()
    spec = stores.lines[find_line(specialization, stores.lines)]
    answer = answers.why_not(stores.state, stores.lake, spec, stores.settings.split_key)
    if as_json:
        print_json(answer.as_dict())
        return
    print_why_not(answer)


def print_why_not(answer: "WhyNot") -> None:
    """Both answers for people."""
    heading("Why it was not retrained")
    _retraining(answer.retraining)
    heading("Why its newest model was not promoted")
    _promotion(answer.promotion)


def _retraining(found: "Retraining") -> None:
    if found.due:
        lines([f"It is due: {found.reason}."])
        lines(["The sensor new_high_score_samples launches it, once no run of the line is under way and its budget"])
        lines(["allows; after two runs that failed on these rows it waits until data or recipe change."])
    else:
        lines([f"{found.reason}."])
    if found.left_out is None:
        return
    pairs(
        [
            ("new train rows", f"{found.new:,} of {found.threshold:,} that start a run"),
            ("train rows in all", f"{found.eligible:,}, at least {found.minimum:,} are needed"),
            ("left out", [f"{rows:,} {reason.replace('_', ' ')}" for reason, rows in found.left_out.items() if rows]),
            ("last trained", found.last_trained_at),
            ("last model", found.last_model),
        ]
    )


def _promotion(found: "NotPromoted") -> None:
    if found.is_champion:
        lines([f"It was: {found.candidate} is the champion."])
    else:
        lines([f"{each.rstrip('.')}." for each in found.missing])
    report = found.report
    pairs(
        [
            ("newest model", found.candidate),
            ("champion", found.champion),
            *([("champion is TAINTED", found.champion_tainted)] if found.champion_tainted else []),
            *([("verdict", report.outcome or report.unreadable)] if report else []),
            *([("because", report.reasons), ("conditions", report.conditions)] if report and report.reasons else []),
            *([("report", report.path)] if report and report.path else []),
        ]
    )

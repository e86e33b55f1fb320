"""The Data Docs of a snapshot: Great Expectations' own account of its validation, as one page without a network."""

import json
import re
import tempfile
from html import escape
from pathlib import Path
from typing import Any

from ft_assets.dataset.expectations import Validation
from ft_assets.dataset.expectations_figures import CHECKS

# Great Expectations' page asks five foreign hosts for styles, scripts and a logo, and is unreadable without them. So
# its sections stand in a frame of our own, with the few rules of style that they need.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p>Snapshot <code>{{ snapshot }}</code>, compared with {{ compared }}. {{ passed }} of {{ all }} expectations hold.</p>
<ul class="checks">{% for check in checks %}
<li class="{{ 'holds' if check.held == check.all else 'broken' }}"><b>{{ check.words }}</b>
 {{ check.held }} of {{ check.all }}{% for line in check.broken %}<br>{{ line }}{% endfor %}</li>{% endfor %}</ul>
</header>
{% for section in sections %}{% set section_loop = loop %}{% include 'section.j2' %}{% endfor %}
<footer>Sections by Great Expectations {{ version }}. Counts, labels and distributions; no text.</footer>
</body>
</html>
"""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #2b2f36; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.5rem; font-weight: 600; margin: 0 0 .3rem; }
h5 { font-size: 1rem; font-weight: 600; margin: 0; }
h6 { font-size: .9rem; margin: 0; }
header { border-bottom: 1px solid #dfe3e8; margin-bottom: 1.5rem; padding-bottom: .8rem; }
code { font-size: .85em; word-break: break-all; }
.checks { list-style: none; padding: 0; }
.checks li { border-left: 4px solid #2a8c5a; padding: .15rem .7rem; margin: .4rem 0; }
.checks li.broken { border-left-color: #c9822b; }
.ge-section { margin: 0 0 1.4rem; }
.ge-section .alert { border-bottom: 1px solid #dfe3e8; padding: .2rem 0; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th { font-weight: 600; font-size: .8rem; color: #6b7280; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #eef0f3; }
td:first-child, th:first-child { width: 3.5rem; }
td:nth-child(3), th:nth-child(3) { width: 11rem; }
td td, td th { width: auto !important; padding: .1rem .6rem .1rem 0; }
.fa-check-circle::before { content: "\\2714"; color: #2a8c5a; }
.fa-exclamation-triangle::before { content: "\\26A0"; color: #c9822b; }
.fa-times::before { content: "\\2716"; color: #c9822b; }
.badge { font-family: ui-monospace, monospace; font-size: .85em; background: #f2f4f7; padding: 0 .3em; }
footer { color: #6b7280; font-size: .85rem; margin-top: 2rem; }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #dfe3e8; }
  header, th, td, .ge-section .alert { border-color: #2d323b; }
  .badge { background: #262a33; }
}
"""
RANDOM_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def write_docs(directory: Path, validation: Validation, line: str, snapshot: str, last: str | None) -> None:
    """Writes index.html and results.json into `directory`: the same bytes for the same snapshot, line and last one.

    Both hold names of columns, labels, counts and quantiles, and no text of any row. The page runs no script and asks
    no network for anything.
    """
    (directory / "index.html").write_text(_page(validation, line, snapshot, last), encoding="utf-8")
    results = {
        "snapshot": snapshot,
        "last_snapshot": last,
        "suites": {name: _without_run(result.to_json_dict()) for name, result in validation.results.items()},
    }
    text = json.dumps(results, indent=1, sort_keys=True, default=_plain)
    (directory / "results.json").write_text(f"{text}\n", encoding="utf-8")


def _page(validation: Validation, line: str, snapshot: str, last: str | None) -> str:
    from great_expectations import __version__
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    sections = []
    for result in validation.results.values():
        document = ValidationResultsPageRenderer().render(result).to_json_dict()
        # The overview holds the time of the run and the address of the table in memory: news every time.
        sections += [section for section in document["sections"] if section.get("section_name") != "Overview"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "snapshot_page.j2").write_text(PAGE, encoding="utf-8")
        view = DefaultJinjaPageView(custom_views_directory=folder)
        page = view.env.get_template("snapshot_page.j2").render(
            sections=sections,
            title=f"Expectations of {line}",
            snapshot=snapshot,
            compared=f"the last snapshot {last}" if last else "no earlier snapshot, because there is none",
            passed=sum(outcome.passed for outcome in validation.outcomes),
            all=len(validation.outcomes),
            checks=[_check(validation, check) for check in CHECKS if validation.of(check)],
            style=STYLE,
            version=__version__,
        )
    numbers: dict[str, str] = {}
    return RANDOM_ID.sub(lambda found: numbers.setdefault(found[0], f"part-{len(numbers) + 1}"), str(page))


def _check(validation: Validation, check: str) -> dict[str, Any]:
    outcomes = validation.of(check)
    broken = [f"{each.expected}; found {each.observed}" for each in outcomes if not each.passed]
    held = len(outcomes) - len(broken)
    words = check.replace("_", " ")
    return {"words": words, "held": held, "all": len(outcomes), "broken": [escape(line) for line in broken]}


def _without_run(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key in ("results", "statistics", "success", "suite_name")}


def _plain(value: Any) -> Any:
    """NumPy's numbers and booleans, which Great Expectations leaves in its results."""
    return value.item()

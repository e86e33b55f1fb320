"""What hostile answers and many rows do to the pages of a report."""

import os
import re

import pytest

from ft_assets_tests.defs.answering import answering, right, wrong_from
from ft_assets_tests.defs.evaluated_lines import EvaluatedLines, golden
from ft_assets_tests.evaluation.chat_server import ChatServer
from ft_assets_tests.evaluation.page_addresses import loads_nothing

pytestmark = pytest.mark.torch

ROWS = int(os.environ.get("FT_ASSETS_TEST_GOLDEN_ROWS", "300"))  # 2,000 take 20 CPU-seconds

HOSTILE = (
    "<script>alert(1)</script>|`` ``` [x](javascript:alert(1)) ![i](http://evil.example/x.png) <|im_end|></pre>"
    "\x1b[31m\u202e\ud83d\ude00 \u4f60\u597d e\u0301\u0301 &lt;img src=x onerror=alert(1)&gt; </td></table># title\n"
)


def test_hostile_and_very_long_answers_break_neither_page_nor_report(lines: EvaluatedLines, server: ChatServer) -> None:
    endpoint = answering(server, new=lambda question: HOSTILE, base=lambda question: "long " * 4_000)
    lines.write_line(endpoint=endpoint, golden=golden(50, slice="<b>|`x`"), retrieved_examples=0)
    lines.trained(lines.adapter("new"))
    report, folder = lines.report()
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert loads_nothing(page)
    assert "<script" not in text.replace(HOSTILE.strip()[:8], "") or "```" in text
    assert "characters more" in page
    assert (folder / "report.html").stat().st_size < 2_000_000
    assert report["examples"]["improved"] or report["examples"]["worsened"]
    assert not re.search(r"[\x1b\u202e]", page + text)


def test_a_large_golden_set_with_many_slices_is_told_on_a_page_of_normal_size(
    lines: EvaluatedLines, server: ChatServer
) -> None:
    rows = [{**row, "slice": f"slice {number % (ROWS // 5)}"} for number, row in enumerate(golden(ROWS))]
    endpoint = answering(server, new=right, base=wrong_from(ROWS // 2))
    lines.write_line(endpoint=endpoint, golden=rows, retrieved_examples=0)
    lines.trained(lines.adapter("new"))
    report, folder = lines.report()
    assert report["verdict"]["outcome"] == "promote"
    assert len([part for part in report["slices"] if part["by"] == "slice"]) == ROWS // 5
    assert (folder / "report.html").stat().st_size < 1_000_000

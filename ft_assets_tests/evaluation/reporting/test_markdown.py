import re

from hypothesis import example, given
from hypothesis import strategies as st

from ft_assets.evaluation.reporting.markdown import cell, fenced, inline


@given(st.text(max_size=80))
@example("a | b `c` <script>alert(1)</script> [x](javascript:y) ![i](u)")
@example("# title\n\n- item\r\n***")
@example("a@b.example http://c.example www.d.example")
@example("[1.5, 2](javascript:y) [1.5, 2][x] [1.5, 2]: y [1.5, 2]")
def test_inline_text_is_one_line_without_a_sign_that_markdown_or_html_knows(text: str):
    shown = re.sub(r"&#\d+;", "x", inline(text)).replace("[1.5, 2]", "")
    assert not re.search(r"[\n\r|`<>\[\]*\\&@~]|://|^\d+[.)]|^[-+#=]|\b_|_\b", shown)


def test_names_and_sentences_stay_readable_in_the_source():
    text = "qa-engineer: max_new_tokens 48, 1.5 %"
    assert inline(text) == text


def test_figures_in_a_table_stay_readable_in_the_source():
    assert cell("+13.2 points [-1.5, +27.9]") == "+13.2 points [-1.5, +27.9]"
    assert cell("13. of # [x] a|b") == "13. of # &#91;x&#93; a&#124;b"


@given(st.text(alphabet="`~a \n\r\x1b\u2028", max_size=60))
@example("```\n<script>\n````")
@example("a\r```\r# out")
def test_fenced_text_cannot_close_its_fence(text: str):
    block = fenced(text)
    opening, *body, closing = block.split("\n")
    assert opening == closing + "text"
    assert set(closing) == {"`"}
    assert not any(closing in line for line in body)
    assert "\r" not in block
    assert "\x1b" not in block


def test_a_long_text_is_cut_and_says_by_how_much():
    assert "(500 characters more)" in fenced("x" * 2_000)

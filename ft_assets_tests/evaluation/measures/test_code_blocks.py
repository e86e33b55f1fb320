"""Code as models write it: fenced, unfenced, cut off, in lists, with examples around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ft_assets.evaluation.measures.code_blocks import CodeBlock, code_blocks, python_blocks, solution


def test_fenced_blocks_come_with_their_language() -> None:
    answer = "First:\n```python\nx = 1\n```\nthen\n~~~Bash\nls\n~~~\nand\n```\ny = 2\n```\n"
    assert code_blocks(answer) == [CodeBlock("python", "x = 1\n"), CodeBlock("bash", "ls\n"), CodeBlock("", "y = 2\n")]
    assert python_blocks(answer) == ["x = 1\n", "y = 2\n"]


def test_a_block_without_a_language_is_python_only_if_it_parses() -> None:
    assert python_blocks("```\nSELECT name FROM people;\n```") == []


def test_a_block_that_says_python_is_kept_although_it_does_not_parse() -> None:
    assert python_blocks("```python\ndef f(:\n```") == ["def f(:\n"]


def test_a_block_that_was_cut_off_reaches_to_the_end() -> None:
    assert python_blocks("Here:\n```py\ndef f():\n    return 1") == ["def f():\n    return 1"]


def test_a_longer_fence_and_a_fence_in_a_docstring_do_not_close_a_block() -> None:
    assert code_blocks("````python\n```\n````\n") == [CodeBlock("python", "```\n")]
    inner = 'def f():\n    """\n    ```\n    f()\n    ```\n    """\n'
    assert python_blocks(f"```python\n{inner}```\n") == [inner]


def test_a_block_in_a_list_loses_the_indent_of_its_fence() -> None:
    assert python_blocks("1. Do\n\n    ```python\n    if x:\n        y()\n    ```\n") == ["if x:\n    y()\n"]


def test_an_unfenced_answer_is_code_only_if_all_of_it_is_a_program() -> None:
    assert python_blocks("def f():\n    return 1\n") == ["def f():\n    return 1\n"]
    assert python_blocks("print(1)") == ["print(1)"]
    for prose in ("Yes", "42", "Yes, of course", "a - b", "The function is f.", "", "Use `f(x)` here", "'quoted'"):
        assert python_blocks(prose) == [], prose


def test_text_in_single_backticks_on_one_line_opens_no_block() -> None:
    assert code_blocks("```x = 1``` is an assignment\n") == []


@given(st.text(alphabet="`~ \n\tapython()=1:", max_size=60))
def test_any_text_is_read_without_raising_and_blocks_hold_only_its_own_lines(answer: str) -> None:
    for block in code_blocks(answer):
        assert all(line.strip() in answer for line in block.source.splitlines())
    solution(answer, "f", "def f():\n")


PREFIX = "import math\n\n\ndef area(r):\n    '''The area.'''\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("    return math.pi * r * r\n", PREFIX + "    return math.pi * r * r\n"),
        ("```python\n    return 3 * r * r\n```", PREFIX + "    return 3 * r * r\n"),
        ("```python\ndef area(r):\n    return 3\n```", "import math\n\n\ndef area(r):\n    return 3\n"),
        ("def area(r):\n    return 3\n", "import math\n\n\ndef area(r):\n    return 3\n"),
    ],
)
def test_an_answer_continues_its_prefix_unless_it_defines_the_entry_point_itself(answer: str, expected: str) -> None:
    assert solution(answer, "area", PREFIX) == expected


def test_blocks_that_define_something_are_joined_and_examples_left_out() -> None:
    defining = "```python\nimport os\n```\nand\n```python\ndef f():\n    return os\n```\n"
    answer = f"{defining}Use:\n```python\nf('missing.txt')\n```\n"
    assert solution(answer, "f", None) == "import os\n\n\ndef f():\n    return os\n"


def test_an_answer_whose_fences_hold_no_python_has_no_solution() -> None:
    assert solution("```bash\nls\n```", "f", None) == ""

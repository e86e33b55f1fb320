"""The code in an answer: its fenced blocks, or the whole answer where all of it is Python."""

import ast
import re
import warnings
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}(?=[^`]*$)|~{3,})[ \t]*(?P<language>[\w+#.-]*)")
_PYTHON = {"python", "py", "python3", "py3", "ipython"}  # not pycon: a session shows calls, it is no program
# What ast.parse raises on text that is no Python, or more of it than the parser can nest.
DOES_NOT_PARSE = (SyntaxError, ValueError, RecursionError, MemoryError)
# A text of one of these alone is a word or a number, not a program: "Yes" parses, too.
_MERE_EXPRESSIONS = (ast.Name, ast.Constant, ast.Attribute, ast.BinOp, ast.UnaryOp, ast.Tuple, ast.Compare, ast.BoolOp)


@dataclass(frozen=True)
class CodeBlock:
    """One block. `language` is the fence's word in lower case, empty where it names none."""

    language: str
    source: str


def code_blocks(answer: str) -> list[CodeBlock]:
    """The fenced blocks of an answer in their order; without any, the whole answer if it is a Python program.

    Fences are those of CommonMark 0.31, 4.5: three or more backticks or tildes, closed by as many or more of the same;
    one that is never closed (an answer that was cut off) reaches to the end. In a list they may stand further right.
    """
    blocks = _fenced(answer)
    if blocks:
        return blocks
    return [CodeBlock("python", answer)] if _is_program(answer) else []


def python_blocks(answer: str) -> list[str]:
    """The sources of an answer's Python: blocks that say so, and blocks that name no language and parse."""
    return [
        block.source
        for block in code_blocks(answer)
        if block.language in _PYTHON or (not block.language and parsed(block.source) is not None)
    ]


def parsed(source: str) -> ast.Module | None:
    """The syntax tree of a source; None where it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an answer's odd escapes are no business of our log
            return ast.parse(source)
    except DOES_NOT_PARSE:
        return None


def solution(answer: str, entry_point: str | None, prefix: str | None) -> str:
    """The program that an answer stands for, ready to be tested.

    Fenced Python is taken where there is any: the blocks that define something, joined, without those that only show
    a call. Otherwise the whole answer is. An answer that continues `prefix` (a signature, say) is put behind it; one
    that defines the entry point itself needs of the prefix only what stands before that definition.
    """
    code = answer
    if _fenced(answer):
        sources = python_blocks(answer)
        code = "\n\n".join([source for source in sources if _defines(source)] or sources)
    if not prefix:
        return code
    if entry_point and _defines(code, entry_point):
        return _before(prefix, entry_point) + code
    return prefix + code


def _fenced(answer: str) -> list[CodeBlock]:
    blocks: list[CodeBlock] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in answer.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if opened is None:
            opened, lines = fence, []
        elif _closes(opened, fence, line):
            blocks.append(_block(opened, lines))
            opened = None
        else:
            lines.append(line)
    return [*blocks, _block(opened, lines)] if opened else blocks


def _closes(opened: re.Match[str], fence: re.Match[str] | None, line: str) -> bool:
    return (
        fence is not None
        and fence["mark"].startswith(opened["mark"])
        and len(fence["indent"]) <= len(opened["indent"]) + 3  # further right it is text, in a docstring for example
        and not line.strip().strip("`~")
    )


def _block(opened: re.Match[str], lines: list[str]) -> CodeBlock:
    indent = opened["indent"]
    return CodeBlock(opened["language"].lower(), "".join(line.removeprefix(indent) for line in lines))


def _is_program(text: str) -> bool:
    tree = parsed(text)
    return tree is not None and any(
        not (isinstance(node, ast.Expr) and isinstance(node.value, _MERE_EXPRESSIONS)) for node in tree.body
    )


def _defines(source: str, name: str | None = None) -> bool:
    """Whether a source defines something at its top level, or that one name; True for what does not parse."""
    tree = parsed(source)
    if tree is None:
        return name is None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = {node.name}
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.asname or alias.name for alias in node.names}
        else:
            continue
        if name is None or name in names:
            return True
    return False


def _before(prefix: str, entry_point: str) -> str:
    """What of a prefix stands before the definition of the entry point: imports, helpers."""
    found = re.search(rf"^(@.*\n)*(async )?def {re.escape(entry_point)}\b", prefix, re.MULTILINE)
    return prefix[: found.start()] if found else prefix

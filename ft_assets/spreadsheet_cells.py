"""Text in a CSV cell that a spreadsheet shows as it is, and back again.

A cell that begins with = + - @, a tab or a line end is a formula to a spreadsheet: it could send data away. And "0012"
or "mar-5" would become a number or a date. An apostrophe before it stops both; OWASP, "CSV Injection".
"""

import re

LONGEST_CELL = 32_000  # a spreadsheet breaks a cell of more than 32,767 characters in two
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_OTHER_TYPE = re.compile(r"'*(?:[^A-Za-z_']|true|false|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.I)


def guarded(text: str) -> str:
    """Free text for a cell; `unguarded` gives it back."""
    return f"'{text}" if _FORMULA.match(text) else text


def guarded_id(text: str) -> str:
    """An id for a cell, so that it comes back to the letter; `unguarded_id` gives it back."""
    return f"'{text}" if _FORMULA.match(text) or _OTHER_TYPE.match(text) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` made this cell of; a cell that somebody typed stays as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def unguarded_id(cell: str) -> str:
    """The id that `guarded_id` made this cell of."""
    return cell[1:] if cell.startswith("'") and (_FORMULA.match(cell) or _OTHER_TYPE.match(cell)) else cell

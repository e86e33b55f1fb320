"""What reading a file gives before anybody asks what it means: values in their places, and damage in theirs."""

from typing import NamedTuple


class Value(NamedTuple):
    """A JSON value and its place: the line of a JSON-lines or CSV file, or the record's number in any other file."""

    number: int
    value: object
    source_kind: str | None = None  # "example" for what stood in an examples container
    line: bytes | None = None  # the line it was decoded from, by a decoder that rounds numbers above 64 bits


class Damage(NamedTuple):
    """A place that holds no JSON value, and why. Never quotes the file."""

    number: int
    rule: str
    reason: str

"""What the names and kinds of a plain line's values say about it: worked out once, because a source has few of them."""

from typing import NamedTuple

import numpy as np
import orjson

from ft_assets.ingest.field_names import JUDGE_NAMES, NAMES
from ft_assets.ingest.json_grammar import TEXT
from ft_assets.ingest.json_scan import INSIDE, NULL, TURNS, Scan, same_names
from ft_assets.ingest.plans import Plan, known_fields, plan_for

QUESTION, ANSWER = "the question", "the answer"  # beside the fields
_CODES = {name: code for code, name in enumerate((*NAMES, *JUDGE_NAMES, QUESTION, ANSWER), start=1)}
_SPOKEN = {"native": ("input_text", "output_text"), "input_output": ("input", "output")}
_MOST_SHAPES = 10_000  # that are remembered
_shapes: dict[tuple[tuple[bytes, int], ...], "Shape | None"] = {}


class Shape(NamedTuple):
    """What holds for all lines with the same names and kinds, in the same order."""

    plan: Plan
    codes: list[int]  # of each member the number of the field that it holds; 0: nothing reads it
    has_turns: bool  # its TURNS are what was said
    is_spoken: bool  # a question and an answer are what was said


class ShapedLines(NamedTuple):
    """The plain lines of a scan. `of`: the number of each line's shape, in `shapes`; None is left to `parse`."""

    shapes: list[Shape | None]
    of: np.ndarray
    firsts: np.ndarray  # each line's first member
    counts: np.ndarray  # and how many it has

    def members_by_field(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Field to the lines that have it, ascending, and the members that hold it."""
        codes = np.zeros((len(self.shapes), self.counts.max(initial=0)), np.int8)
        for row, shape in zip(codes, self.shapes, strict=True):
            if shape is not None:
                row[: len(shape.codes)] = shape.codes
        lines = np.repeat(np.arange(len(self.of)), self.counts)
        code = codes[self.of[lines], np.arange(len(lines)) - self.firsts[lines]]
        by_code = np.argsort(code, kind="stable")
        ends = np.searchsorted(code[by_code], np.arange(len(_CODES) + 2))
        members = {name: by_code[ends[number] : ends[number + 1]] for name, number in _CODES.items()}
        return {name: (lines[its], its) for name, its in members.items()}


def shaped(body: bytes, found: Scan) -> ShapedLines:
    """The shapes of the plain lines of a scan of `body`."""
    plain = np.flatnonzero(found.lines[:, 2])
    counts = found.lines[plain, 3]
    firsts = np.cumsum(counts) - counts
    _, models, of = np.unique(found.shapes[plain], return_index=True, return_inverse=True)
    shapes = [_shape_of(body, found, plain[model], firsts[model], counts[model]) for model in models.tolist()]
    strange = ~same_names(np.frombuffer(body, np.uint8), found.members, firsts, counts, models[of])
    return ShapedLines([*shapes, None], np.where(strange, len(shapes), of), firsts, counts)


def _shape_of(body: bytes, found: Scan, line: int, first: int, count: int) -> Shape | None:
    members = found.members[first : first + count, :3].tolist()
    key = tuple([(body[start:stop], kind) for start, stop, kind in members])
    if key not in _shapes:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()
        start, stop = found.lines[line, :2].tolist()
        names = [(name.decode(), kind % INSIDE, kind >= INSIDE) for name, kind in key]
        _shapes[key] = _made(orjson.loads(body[start:stop]), names)
    return _shapes[key]


def _made(record: dict[str, object], members: list[tuple[str, int, bool]]) -> Shape | None:
    """None where `parse` has to look at each such line. `members`: name, kind, and whether it is metadata."""
    known = known_fields(record)
    plan = plan_for(known, record)
    top = {name: place for place, (name, _, is_inside) in enumerate(members) if not is_inside}
    inside = {name: place for place, (name, _, is_inside) in enumerate(members) if is_inside}
    if len(top) + len(inside) < len(members) or not plan.is_plain or plan.certain is None:
        return None  # the same name twice, for example
    places = inside | {name: place for name, place in top.items() if record[name] is not None or known is record}
    codes = [0] * len(members)
    for field, _, names in plan.fields:
        for name in names:
            codes[places[name]] = _CODES[name if field == "judge" else field]
            if field == "interaction_id" and members[places[name]][1] == NULL:
                return None
    spoken = [top[name] for name in _SPOKEN.get(plan.certain.name, ())]
    is_spoken = bool(spoken) and all(members[place][1] == TEXT for place in spoken)
    if is_spoken:
        codes[spoken[0]], codes[spoken[1]] = _CODES[QUESTION], _CODES[ANSWER]
    has_turns = plan.certain.name == "messages" and members[top["messages"]][1] == TURNS
    return Shape(plan, codes, has_turns, is_spoken)

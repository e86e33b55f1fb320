"""Records without surprises, many at once: column by column, which costs less than one after the other.

Nothing is decided here that `parse` would decide otherwise. Only records whose keys tell the format are taken, only
values that the readers of `fields` accept become part of a column, and a record with any other value is odd: it is left
to `parse`, which alone says what is wrong with it. The records come from orjson, which gives no half surrogate pair.
"""

from collections.abc import Mapping
from typing import Any

from ft_assets.ingest.columns import Columns, Turns
from ft_assets.ingest.field_names import JUDGE_NAMES, NAMES
from ft_assets.ingest.fields import JUDGE_READERS, READERS, Reader
from ft_assets.ingest.plans import Plan, known_fields, plan_for
from ft_assets.ingest.turns import ROLES
from ft_assets.ingest.typed_values import MAX_DEPTH, Number, Unreadable, plain_names, short_text
from ft_assets.ingest.values import Value

_REPEATED = frozenset(
    [
        "interaction_id",
        "user_id",
        "conversation_id",
        "role",
        "task_type",
        "reasoning_mode",
        "model_version",
        "expert_verdict",
        "source",
        "source_kind",
        "domain",
        "difficulty",
    ]
)  # texts, mostly the same few
_TEXTS = {str, int, type(None)}  # no bool and no float among them: True == 1 == 1.0 would be one value


class PlainRecords:
    """The records of a slice that wait to become columns, and the positions of those that are odd."""

    def __init__(self, task_of_file: str | None) -> None:
        self._task_of_file = task_of_file
        self._known: list[Mapping[str, Any]] = []
        self._turns = Turns()
        self.plans: list[Plan] = []
        self.odd: set[int] = set()
        self.named_by_file: list[bool] = []

    def __len__(self) -> int:
        return len(self.plans)

    def take(self, item: Value) -> bool:
        """Takes the record where its keys and its turns are plain; False leaves it to `parse`."""
        record, line = item.value, item.line
        if line is None or type(record) is not dict or line.count(b"{") + line.count(b"[") > MAX_DEPTH:
            return False
        known = known_fields(record)
        plan = plan_for(known, record)
        if not _add_turns(self._turns, record, plan):
            return False
        self._known.append(known)
        self.plans.append(plan)
        return True

    def columns(self) -> Columns:
        """Typed values for each field that any of the records has; adds to `odd`. Odd records have anything there."""
        used = {name for plan in set(self.plans) for _, _, names in plan.fields for name in names}
        columns: Columns = {"messages": self._turns}
        for field, names in NAMES.items():
            present = [name for name in names if name in used]
            if present:
                read = self._distinct if field in _REPEATED else self._each
                columns[field] = read(READERS[field], self._values(present))
        if any(name in used for name in JUDGE_NAMES):
            columns["judge"] = self._judged([name for name in JUDGE_NAMES if name in used])
        self._name_tasks(columns)
        columns["source_kind"] = self._source_kinds(columns.get("source_kind"))
        self.odd.update(at for at, given in enumerate(columns.get("interaction_id", ())) if given is None)
        self.odd.update(at for at, text in enumerate(columns.get("outcome", ())) if text and "e+" in text)  # rounded?
        return columns

    def _name_tasks(self, columns: Columns) -> None:
        """The task that the file's name states, where the format has no place for one and the record says none."""
        self.named_by_file = [False] * len(self)
        if self._task_of_file is not None:
            tasks = columns.get("task_type", [None] * len(self))
            pairs = zip(tasks, self.plans, strict=True)
            self.named_by_file = [task is None and plan.format == "input_output" for task, plan in pairs]
            pairs_ = zip(tasks, self.named_by_file, strict=True)
            columns["task_type"] = [self._task_of_file if named else task for task, named in pairs_]

    def _source_kinds(self, given: list[Any] | None) -> list[Any]:
        own = [plan.source_kind for plan in self.plans]
        return own if given is None else [kind or plain for kind, plain in zip(given, own, strict=True)]

    def _values(self, names: list[str]) -> list[Any]:
        """What stands under the one of these names that each record has."""
        values = [known.get(names[0]) for known in self._known]
        for name in names[1:]:
            values = [
                known.get(name) if value is None else value for value, known in zip(values, self._known, strict=True)
            ]
        return values

    def _distinct(self, reader: Reader, values: list[Any]) -> list[Any]:
        """Reads each text once, however often it stands there."""
        if reader is short_text and (names := plain_names(values)) is not None:
            return names
        if not _TEXTS.issuperset(map(type, values)):
            strange = [at for at, value in enumerate(values) if type(value) not in _TEXTS]
            self.odd.update(strange)
            for at in strange:
                values[at] = None
        typed = {None: None}
        refused = set()
        for value in set(values) - {None}:
            try:
                typed[value] = reader("", value)
            except Unreadable:
                typed[value] = None
                refused.add(value)
        if refused:
            self.odd.update(at for at, value in enumerate(values) if value in refused)
        return [typed[value] for value in values]

    def _each(self, reader: Reader, values: list[Any]) -> list[Any]:
        if isinstance(reader, Number) and (numbers := reader.plain(values)) is not None:
            return numbers
        typed = [None] * len(values)
        for at, value in enumerate(values):
            if value is not None:
                try:
                    typed[at] = reader("", value)
                except Unreadable:
                    self.odd.add(at)
        return typed

    def _judged(self, names: list[str]) -> list[Any]:
        """The judges' scores, which add up."""
        scores: list[Any] = [None] * len(self)
        for name in names:
            for at, more in enumerate(self._each(JUDGE_READERS[name], [known.get(name) for known in self._known])):
                if more:
                    scores[at] = more if scores[at] is None else scores[at] + more
        return scores


def _add_turns(turns: Turns, record: Mapping[str, Any], plan: Plan) -> bool:
    """Adds the record's turns; False where they are not plain or hold JSON whose numbers may be rounded."""
    shape = plan.certain
    if shape is None or not plan.is_plain:
        return False
    if shape.name == "messages" and _add_plain_turns(turns, record["messages"]):
        return True
    try:
        read = shape.parse(record)[0].turns
    except Unreadable:
        return False
    if any(calls is not None and "e+" in calls for _, _, calls in read):
        return False
    turns += [read]
    return True


def _add_plain_turns(turns: Turns, value: object) -> bool:
    """As `read_turns` where every turn is {role, content} of text; False, and nothing added, where one is not."""
    if type(value) is not list or not value:
        return False
    roles, contents, calls = turns.parts
    start = len(roles)
    try:
        for turn in value:
            content = turn["content"]
            if type(content) is not str or len(turn) != 2:
                break
            roles.append(ROLES[turn["role"]])
            contents.append(content)
        else:
            calls += [None] * len(value)
            turns.ends.append(len(roles))
            return True
    except (KeyError, TypeError):  # no such key, or no dict
        pass
    del roles[start:], contents[start:]
    return False

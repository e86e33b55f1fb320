"""A snapshot's rows in the formats that other people's tools read, and that `ft_assets.ingest` reads back."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ft_assets.dataset.export_files import Record, Unsayable, file_type, write_records
from ft_assets.dataset.rows import SnapshotRow
from ft_assets.errors import BadInput
from ft_assets.records import Message

_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}
_SPEAKER = {"user": "Human", "assistant": "Assistant"}
_MARK = re.compile(r"(?:\A\s*|\n\s*\n)(?:Human|Assistant):")


class PreferencePair(BaseModel):
    """One prompt with a better and a worse answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pair_id: str
    prompt: list[Message]
    chosen: Message
    rejected: Message


def write_rows(rows: Iterable[SnapshotRow], format: str, path: Path) -> int:
    """Writes the rows to `path`, whole or not at all, and returns how many there were.

    `format` is one of ROW_FORMATS; the file's name says its type: .json, .jsonl, .csv or .parquet, each plain or .gz.
    The id is the example's. An examples container is one .json document.

    Raises:
        BadInput: an unknown format or file type, or a row that the format cannot hold (several turns in alpaca, tool
            calls in sharegpt): choose messages, which holds everything, or leave those rows out. No file is written.
    """
    if format not in ROW_FORMATS:
        raise BadInput(f"{format!r} is no format that rows can be written in. Use one of {', '.join(ROW_FORMATS)}.")
    if format == "examples" and file_type(path) != ".json":
        raise BadInput(f"{path} cannot hold an examples container, which is one document. Write it to a .json file.")
    return write_records(((row.example_id, row) for row in rows), ROW_FORMATS[format], format, path)


def write_pairs(pairs: Iterable[PreferencePair], path: Path) -> int:
    """Writes prompt, chosen and rejected per pair to `path`, whole or not at all, and returns how many there were.

    Texts where the prompt is one user turn, otherwise turns in all three, so that nothing is read as what it is not.

    Raises:
        BadInput: an unknown file type, or a text that the file type cannot hold. No file is written.
    """
    return write_records(((pair.pair_id, pair) for pair in pairs), _preference, "preference", path)


# ---- the formats -----------------------------------------------------------------------------------------------------
def _labels(row: SnapshotRow) -> Record:
    labels = {"role": row.role, "task_type": row.task_type, "reasoning_mode": row.reasoning_mode}
    return {name: label for name, label in labels.items() if label is not None}


def _two_turns(row: SnapshotRow) -> tuple[str, str]:
    roles = [turn.role for turn in row.messages]
    if roles != ["user", "assistant"]:
        raise Unsayable(f"has the turns {', '.join(roles)}, and the format holds one user turn and one answer")
    _refuse_tool_calls(row.messages)
    return row.messages[0].content, row.messages[1].content


def _refuse_tool_calls(messages: Iterable[Message]) -> None:
    if any(turn.tool_calls for turn in messages):
        raise Unsayable("has tool calls, which the format cannot hold")


def _native(row: SnapshotRow) -> Record:
    question, answer = _two_turns(row)
    return {"interaction_id": row.example_id, "input_text": question, "output_text": answer, **_labels(row)}


def _input_output(row: SnapshotRow) -> Record:
    question, answer = _two_turns(row)
    return {"id": row.example_id, "input": question, "output": answer, **_labels(row)}


def _completion(row: SnapshotRow) -> Record:
    question, answer = _two_turns(row)
    for text in (question, answer):
        if _MARK.search(text) or (text.lstrip()[:1] == "[" and '"role"' in text):
            raise Unsayable(
                "has a text that looks like turns or like a transcript, and the format would be read as one"
            )
    return {"id": row.example_id, "prompt": question, "completion": answer, **_labels(row)}


def _alpaca(row: SnapshotRow) -> Record:
    question, answer = _two_turns(row)
    return {"id": row.example_id, "instruction": question, "input": "", "output": answer, **_labels(row)}


def _messages(row: SnapshotRow) -> Record:
    return {"id": row.example_id, "messages": [_turn(turn) for turn in row.messages], **_labels(row)}


def _example(row: SnapshotRow) -> Record:
    labels = _labels(row)
    metadata = {"reasoning_mode": labels.pop("reasoning_mode")}
    return {"id": row.example_id, **labels, "messages": [_turn(turn) for turn in row.messages], "metadata": metadata}


def _sharegpt(row: SnapshotRow) -> Record:
    _refuse_tool_calls(row.messages)
    turns = [{"from": _SHAREGPT[turn.role], "value": turn.content} for turn in row.messages]
    return {"id": row.example_id, "conversations": turns, **_labels(row)}


def _transcript(row: SnapshotRow) -> Record:
    _refuse_tool_calls(row.messages)
    parts = []
    for index, turn in enumerate(row.messages):
        if turn.role not in _SPEAKER and (turn.role != "system" or index or not turn.content.strip()):
            raise Unsayable(f"has a {turn.role} turn where a transcript has none")
        if _MARK.search(turn.content) or turn.content.endswith("\r"):
            raise Unsayable("holds a speaker's mark inside a turn, which would be read as a turn of its own")
        parts.append(turn.content if turn.role == "system" else f"\n\n{_SPEAKER[turn.role]}: {turn.content}")
    last = row.messages[-1]
    is_open = last.role == "assistant" and not last.content.strip()
    if is_open or not _SPEAKER.keys() <= {turn.role for turn in row.messages}:
        raise Unsayable("has no question or no answer, and would not be read as a transcript")
    return {"id": row.example_id, "text": "".join(parts), **_labels(row)}


def _argilla(row: SnapshotRow) -> Record:
    _refuse_tool_calls(row.messages)
    if [turn.role for turn in row.messages] == ["user", "assistant"]:
        fields: Record = {"prompt": row.messages[0].content, "response": row.messages[1].content}
    else:
        fields = {"messages": [_turn(turn) for turn in row.messages]}
    return {"id": row.example_id, "fields": fields, "responses": [], "metadata": _labels(row)}


def _preference(pair: PreferencePair) -> Record:
    sides = {"prompt": pair.prompt, "chosen": [pair.chosen], "rejected": [pair.rejected]}
    texts = [turns[0].content for turns in sides.values() if turns]
    calls = any(turn.tool_calls for turns in sides.values() for turn in turns)
    are_plain = [turn.role for turn in pair.prompt] == ["user"] and not calls
    # a text that looks like turns or like a transcript would be taken for what it looks like
    if are_plain and not any(text.lstrip()[:1] == "[" or _MARK.search(text) for text in texts):
        return {"id": pair.pair_id} | {side: turns[0].content for side, turns in sides.items()}
    return {"id": pair.pair_id} | {side: [_turn(turn) for turn in turns] for side, turns in sides.items()}


def _turn(message: Message) -> Record:
    turn: Record = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = _calls(message.tool_calls)
    return turn


def _calls(text: str) -> Any:
    """The calls as the list that they are; as text where the list would not give this text again."""
    try:
        calls = json.loads(text)
    except ValueError:
        return text
    return calls if isinstance(calls, list) and json.dumps(calls, ensure_ascii=False) == text else text


ROW_FORMATS: dict[str, Callable[[Any], Record]] = {
    "native": _native,
    "examples": _example,
    "input_output": _input_output,
    "completion": _completion,
    "messages": _messages,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "transcript": _transcript,
    "argilla": _argilla,
}

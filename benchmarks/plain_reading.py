"""Landing files into a typed table as people write it: `json.loads` per line, a pandas DataFrame, rules on its columns.

Line by line and not `pandas.read_json`, because that stops at the first broken line; it is also twice as cheap.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - what this pipeline is made of

FIELDS = (
    "id", "timestamp", "user_id", "conversation_id", "role", "task_type", "messages", "input_text", "output_text",
    "context", "model", "user_rating", "judge_score", "judge_scores", "expert_verdict", "corrected_output",
    "latency_ms", "domain", "line",
)  # fmt: skip
RENAMED = {"id": "interaction_id", "model": "model_version", "user_rating": "rating"}
ROLES = {
    "developer": "software-developer", "software-engineer": "software-developer", "sre": "devops-engineer",
    "devops": "devops-engineer", "qa": "qa-engineer", "pm": "product-manager",
}  # fmt: skip
TURNS = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}

Rejection = tuple[str, str, str, str, str]  # stage, day, place, rule, reason


def read_day(folder: Path, day: str) -> tuple[pd.DataFrame, list[Rejection]]:
    """The records of a day's files as they are, one row each, and a rejection for every line that is no JSON."""
    records: list[dict[str, Any]] = []
    rejections: list[Rejection] = []
    for path in sorted((folder / day).glob("*.jsonl")):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    record = json.loads(line)
                    if b"\\ud" in line:
                        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair cannot be stored
                except UnicodeEncodeError:
                    rejections.append(("ingest", day, f"{path.name}:{number}", "lone_surrogate", "half an emoji"))
                    continue
                except ValueError as error:
                    rejections.append(("ingest", day, f"{path.name}:{number}", "not_json", str(error)))
                    continue
                record["line"] = number
                records.append(record)
    frame = pd.DataFrame(records).reindex(columns=list(FIELDS))
    return frame.assign(day=day, source_file="log.jsonl", source="log"), rejections


def type_day(frame: pd.DataFrame, known_ids: set[str]) -> tuple[pd.DataFrame, list[Rejection]]:
    """The typed rows, and a rejection for every other. `known_ids` gets the new ids."""
    given = frame["user_rating"]
    is_text = given.map(lambda value: isinstance(value, str))
    rating = pd.to_numeric(given.mask(is_text), errors="coerce")
    judge_mean, off_scale, judge = _judge(frame)
    moment = pd.to_datetime(frame["timestamp"], utc=True, errors="coerce", format="ISO8601")
    turns = [
        _turns(messages, question, answer)
        for messages, question, answer in zip(frame["messages"], frame["input_text"], frame["output_text"], strict=True)
    ]
    problem = pd.Series([found if isinstance(found, str) else "" for found in turns], index=frame.index, dtype=object)
    problem[(problem == "") & given.notna() & ~rating.between(1, 5)] = "bad_rating"
    problem[(problem == "") & off_scale] = "bad_judge"
    problem[(problem == "") & frame["timestamp"].notna() & moment.isna()] = "bad_timestamp"
    repeated = frame["id"].duplicated() | np.array([each in known_ids for each in frame["id"]])
    problem[(problem == "") & repeated] = "duplicate_interaction"
    typed = frame.drop(columns=["input_text", "output_text", "judge_score", "judge_scores"]).rename(columns=RENAMED)
    role = typed["role"].str.lower().str.replace("_", "-")
    typed = typed.assign(
        timestamp=moment,
        rating=rating,
        judge=judge,
        judge_mean=judge_mean,
        role=role.map(ROLES).fillna(role),
        task_type=typed["task_type"].str.lower().str.replace(r"[ -]+", "_", regex=True),
        reasoning_mode="standard",
        messages=turns,
    )
    fine = problem == ""
    bad = typed[~fine]
    rejections = [
        ("ingest", day, f"{file}:{line}", rule, rule)
        for day, file, line, rule in zip(bad["day"], bad["source_file"], bad["line"], problem[~fine], strict=True)
    ]
    typed = typed[fine].reset_index(drop=True)
    known_ids.update(typed["interaction_id"])
    return typed, rejections


def _judge(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series, list[list[dict[str, Any]]]]:
    """The mean of a record's judge scores, whether one is off the scale, and the scores."""
    judge = []
    for single, several in zip(frame["judge_score"], frame["judge_scores"], strict=True):
        named = [] if single != single else [("overall", single)]
        named += several.items() if isinstance(several, dict) else ()
        judge.append([{"criterion": name, "score": float(score)} for name, score in named])
    mean = [sum(each["score"] for each in scores) / len(scores) if scores else np.nan for scores in judge]
    off = [any(not 0 <= each["score"] <= 1 for each in scores) for scores in judge]
    return pd.Series(mean, index=frame.index), pd.Series(off, index=frame.index), judge


def _turns(messages: object, question: object, answer: object) -> list[dict[str, Any]] | str:
    """The turns of a record, or the rule that it breaks."""
    if not isinstance(messages, list):
        if not isinstance(question, str) or not isinstance(answer, str):
            return "unknown_format"
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if not messages:
        return "empty_messages"
    turns = []
    for turn in messages:
        role, content, calls = TURNS.get(turn["role"]), turn.get("content"), turn.get("tool_calls")
        if role is None:
            return "bad_messages"
        if isinstance(content, list):
            content = "\n".join(part["text"] for part in content)
        calls = json.dumps(calls, ensure_ascii=False) if calls else None
        turns.append({"role": role, "content": content or "", "tool_calls": calls})
    return turns

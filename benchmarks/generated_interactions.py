"""Chat interactions as a product logs them, about 1 KB each, generated: the same seed gives the same bytes.

    python benchmarks/generated_interactions.py FOLDER [rows, default 100000] [days, default 30]

Of the rows, 8 % repeat the turns of an earlier one to the letter under a new id, 10 % with a few words edited, 0.5 %
are the same record sent twice, 2 % are broken or too short to learn from; 3 % of the rest carry personal data or a
secret. A quarter stands in conversations of two to four rows. Languages, formats, scores, tool calls, code, look-alikes
of secrets and fields that nobody reads are mixed in. What each row is stands in `truth.parquet`, for whoever checks.
"""

import random
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from generated_words import SHARES, Sentences, code, look_alike, secret

EXACT, NEAR, RESENT, BROKEN = 0.08, 0.10, 0.005, 0.02
SECRET = 0.03
MOST_SENTENCES = 14
MOST_SOURCES = 60_000  # of the rows that later ones may repeat; beyond, a new one takes the place of a random one

SYSTEM = (
    "You are a helpful assistant.",
    "You are a support agent for Acme Cloud. Answer briefly and cite the article id.",
    "You are a coding assistant. Return only code unless asked.",
    "You are a careful legal summariser.",
)
CANNED = "I am sorry, but I cannot help with that request. Please contact support if you think that this is a mistake."
ROLES = ("software-developer", "developer", "qa-engineer", "sre", "product-manager", "software-architect", None, None)
TASKS = ("question_answering", "code_generation", "summarization", "explanation", "debugging", None, None, None)
LABELS = ("billing", "outage", "feature request", "security", "other")
MODELS = ("llama-3.1-8b", "qwen2.5-7b", "mistral-7b", "gpt-oss-20b")
CLOCK = [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z" for second in range(86_400)]
BREAKS = (
    "too_short", "too_short", "too_short", "not_json", "no_answer", "empty_answer", "text_rating", "rating_of_ten",
    "judge_of_hundred", "no_messages", "unknown_format", "unknown_role", "bad_timestamp", "lone_surrogate",
)  # fmt: skip
TRUTH = {
    "row": pl.Int64, "day": pl.String, "line": pl.Int64, "interaction_id": pl.String, "kind": pl.String,
    "source_row": pl.Int64, "secret_kind": pl.String, "secret": pl.String,
}  # fmt: skip

Record = dict[str, Any]


def day_names(count: int, first: str = "2026-01-01") -> list[str]:
    """So many days in a row, YYYY-MM-DD."""
    return [(date.fromisoformat(first) + timedelta(days=number)).isoformat() for number in range(count)]


def write_days(folder: Path, rows: int, days: Sequence[str], seed: int = 7) -> None:
    """Writes `rows` interactions, evenly over the days, as landing/<day>/log.jsonl under the folder, and truth.parquet.

    Of the truth: kind is original, exact, near, resent or broken:<how>; source_row is the row that it repeats.
    """
    writer = _Writer(seed)
    truths = []
    for number, day in enumerate(days):
        target = folder / "landing" / day
        target.mkdir(parents=True, exist_ok=True)
        share = (number + 1) * rows // len(days) - number * rows // len(days)
        lines, truth = writer.day(day, number, share)
        (target / "log.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        truths.append(pl.DataFrame(truth, schema=TRUTH, orient="row"))
    pl.concat(truths).write_parquet(folder / "truth.parquet")


class _Writer:
    """Generates one day after the other; later days repeat rows of earlier ones."""

    def __init__(self, seed: int):
        self._seed = seed
        self._sentences = Sentences(seed)
        self._sources: list[tuple[int, Record, tuple[str | None, str | None]]] = []
        self._row = 0
        self._conversation: tuple[str, str, int] = ("", "", 0)  # its id, its user, rows to come
        self._previous: Record | None = None

    def day(self, day: str, number: int, rows: int) -> tuple[list[bytes], list[tuple]]:
        """The day's lines, and what is true of each."""
        rng, plain = np.random.default_rng([self._seed, 2, number]), random.Random(self._seed * 100_003 + number)
        languages = rng.choice(len(SHARES), size=rows, p=list(SHARES.values()))
        sentences = self._sentences.draw(rng, languages, MOST_SENTENCES)
        seconds = np.sort(rng.integers(0, 86_400, rows)).tolist()
        lines, truths = [], []
        for line, (said, second) in enumerate(zip(sentences, seconds, strict=True), start=1):
            record, kind, source, planted = self._record(plain, said, f"{day}T{CLOCK[second]}")
            lines.append(_line(record, kind, plain))
            truths.append((self._row, day, line, record.get("id"), kind, source, *planted))
            self._row += 1
        return lines, truths

    def _record(
        self, rng: random.Random, said: list[str], moment: str
    ) -> tuple[Record, str, int | None, tuple[str | None, str | None]]:
        """A record, its kind, the row that it repeats, and the kind and text of the secret in it."""
        drawn = rng.random()
        if drawn < RESENT and self._previous:
            return self._previous, "resent", self._row - 1, (None, None)
        drawn -= RESENT
        if drawn < EXACT + NEAR and self._sources:
            source, body, planted = self._sources[int(rng.random() * len(self._sources))]
            kind = "exact" if drawn < EXACT else "near"
            body = dict(body) if kind == "exact" else _edited(body, rng)
        elif drawn < EXACT + NEAR + BROKEN:
            kind, source, body, planted = f"broken:{rng.choice(BREAKS)}", None, _body(rng, said), (None, None)
        else:
            kind, source, body = "original", None, _body(rng, said)
            planted = _plant(body, rng) if rng.random() < SECRET else (None, None)
            self._remember(body, planted, rng)
        record = self._logged(body, rng, moment)
        if kind.startswith("broken"):
            record = _broken(record, kind)
        self._previous = record if not kind.startswith("broken") else None
        return record, kind, source, planted

    def _remember(self, body: Record, planted: tuple[str | None, str | None], rng: random.Random) -> None:
        if rng.random() < 0.8 and len(self._sources) > 100:  # so that some rows have many copies and most have none
            return
        if len(self._sources) < MOST_SOURCES:
            self._sources.append((self._row, body, planted))
        else:
            self._sources[int(rng.random() * MOST_SOURCES)] = (self._row, body, planted)

    def _logged(self, body: Record, rng: random.Random, moment: str) -> Record:
        """The record around the turns: who, when, which model, which scores, and fields that nobody reads."""
        conversation, user, to_come = self._conversation
        if not to_come:
            user = f"u{int(rng.random() * 50_000)}" if rng.random() > 0.003 else f"user{self._row}@example.com"
            conversation, to_come = (f"c{self._row:x}", 2 + int(rng.random() * 3)) if rng.random() < 0.1 else ("", 1)
        self._conversation = (conversation, user, to_come - 1)
        record = {"id": f"{self._seed:x}-{self._row:09x}", "timestamp": moment, "user_id": user}
        if conversation:
            record["conversation_id"] = conversation
        record |= body
        record["model"] = MODELS[int(rng.random() * 4)]
        record["latency_ms"] = int(rng.random() * 9000)
        if rng.random() < 0.5:
            record["user_rating"] = (1, 2, 3, 4, 4, 4, 5, 5, 5, 5)[int(rng.random() * 10)]
        judged = rng.random()
        if judged < 0.6:
            record["judge_score"] = round(1 - rng.random() * 0.5, 3)
        elif judged < 0.75:
            record["judge_scores"] = {name: round(1 - rng.random() * 0.4, 2) for name in ("helpful", "correct")}
        if rng.random() < 0.02:
            record["expert_verdict"] = "accept" if rng.random() < 0.7 else "reject"
        record["client"] = {"version": f"4.{int(rng.random() * 30)}", "region": "eu-west", "experiment": None}
        return record


def _body(rng: random.Random, said: list[str]) -> Record:
    """The turns and the task of a new interaction, from its sentences."""
    asked, answered = 1 + int(rng.random() * 3), 3 + int(rng.random() * 7)
    question = " ".join(said[:asked])
    if rng.random() < 0.5:
        word = said[0][:5].strip().lower()
        question += f" See ticket {int(rng.random() * 10**7)} in {word}_{int(rng.random() * 10**5)}.log."
    answer = (" " if answered < 6 else "\n").join(said[3 : 3 + answered])
    extra = rng.random()
    if extra < 0.10:
        answer += "\n" + code(rng)
    elif extra < 0.13:
        answer += " It says " + look_alike(rng) + "."
    elif extra < 0.135:
        answer = CANNED
    body: Record = {}
    role, task = ROLES[int(rng.random() * 8)], TASKS[int(rng.random() * 8)]
    if extra > 0.95:
        task, answer = "classification", LABELS[int(rng.random() * 5)]
    if role:
        body["role"] = role
    if task:
        body["task_type"] = task
    if rng.random() < 0.03:
        body["context"] = said[11]
    if rng.random() < 0.007:
        body["corrected_output"] = f"{said[10]} {said[9]}"
    kind = rng.random()
    if kind < 0.3:
        return body | {"input_text": question, "output_text": answer}
    return body | {"messages": _turns(rng, question, answer, said)}


def _turns(rng: random.Random, question: str, answer: str, said: list[str]) -> list[Record]:
    turns: list[Record] = []
    if rng.random() < 0.5:
        turns.append({"role": "system", "content": SYSTEM[int(rng.random() * 4)]})
    kind = rng.random()
    if kind < 0.2:  # a second round
        turns += [{"role": "user", "content": said[12]}, {"role": "assistant", "content": said[13]}]
    content: Any = question if kind < 0.97 else [{"type": "text", "text": question}]
    turns.append({"role": "user", "content": content})
    if 0.9 < kind < 0.94:
        call = {"name": "search", "arguments": orjson.dumps({"query": said[13][:30]}).decode()}
        calls = [{"id": "call_1", "type": "function", "function": call}]
        turns.append({"role": "assistant", "content": None, "tool_calls": calls})
        turns.append({"role": "tool", "content": orjson.dumps({"hits": [said[12]]}).decode()})
    turns.append({"role": "assistant", "content": answer})
    return turns


def _text_of(body: Record, side: str) -> str:
    """The last question (`user`) or the answer (`assistant`) of a body."""
    if "messages" not in body:
        return body["input_text" if side == "user" else "output_text"]
    content = next(turn["content"] for turn in reversed(body["messages"]) if turn["role"] == side)
    return content if isinstance(content, str) else content[0]["text"]


def _with_text(body: Record, side: str, text: str) -> Record:
    """The body with another last question or answer; the given one stays as it is."""
    if "messages" not in body:
        return body | {"input_text" if side == "user" else "output_text": text}
    at = max(number for number, turn in enumerate(body["messages"]) if turn["role"] == side)
    turns = list(body["messages"])
    turns[at] = turns[at] | {"content": text}
    return body | {"messages": turns}


def _edited(body: Record, rng: random.Random) -> Record:
    """A near copy: up to two edits of a word inside the answer, a new end of it, another last word of the question."""
    answer = _text_of(body, "assistant").split(" ")
    other = answer[int(rng.random() * len(answer))]  # so that the language stays
    for _ in range(rng.choice((0, 1, 1, 2)) if len(answer) > 30 else 0):
        at = int(rng.random() * len(answer))
        answer[at : at + rng.choice((0, 1, 1, 1))] = rng.choice(([], [other], [other]))
    if rng.random() < 0.4:
        answer.append(rng.choice(("Hope this helps!", "Let me know if you need more.", "Thanks.")))
    body = _with_text(body, "assistant", " ".join(answer))
    if rng.random() < 0.5:
        body = _with_text(body, "user", _text_of(body, "user").rpartition(" ")[0] + " " + other)
    return body


def _plant(body: Record, rng: random.Random) -> tuple[str, str]:
    """Puts a secret behind the question or the answer, in place; its kind and text."""
    side = "user" if rng.random() < 0.6 else "assistant"
    kind, around, value = secret(rng)
    body |= _with_text(body, side, f"{_text_of(body, side)} By the way, {around}.")
    return kind, value


def _broken(record: Record, kind: str) -> Record:
    how = kind.partition(":")[2]
    turns = [{"role": "user", "content": "What now?"}]
    odd: dict[str, Record] = {
        "too_short": {"output_text": "Ok.", "input_text": "What now?", "task_type": None},
        "no_answer": {"messages": turns},
        "empty_answer": {"messages": [*turns, {"role": "assistant", "content": " "}]},
        "text_rating": {"user_rating": "4"},
        "rating_of_ten": {"user_rating": 9},
        "judge_of_hundred": {"judge_score": 85},
        "no_messages": {"messages": []},
        "unknown_format": {"request": "What now?", "response": "Nothing."},
        "unknown_role": {"messages": [*turns, {"role": "narrator", "content": "Nothing happens."}]},
        "bad_timestamp": {"timestamp": "yesterday"},
    }
    if how in ("too_short", "no_answer", "empty_answer", "no_messages", "unknown_format", "unknown_role"):
        record = {key: value for key, value in record.items() if key not in ("messages", "input_text", "output_text")}
    return record | odd.get(how, {})


def _line(record: Record, kind: str, rng: random.Random) -> bytes:
    line = orjson.dumps(record)
    if kind == "broken:not_json":
        return line[: len(line) // 2]
    if kind == "broken:lone_surrogate":
        return line[:-1] + b',"domain":"half an emoji \\ud83d"}'
    return line


if __name__ == "__main__":
    arguments = sys.argv[1:]
    write_days(
        Path(arguments[0]),
        int(arguments[1]) if len(arguments) > 1 else 100_000,
        day_names(int(arguments[2]) if len(arguments) > 2 else 30),
    )

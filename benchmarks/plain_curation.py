"""Typed rows into examples as people write it: a loop over the rows of a day, dictionaries for what came before."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - what this pipeline is made of
from plain_faults import faults_of
from plain_masking import PlainMasker
from plain_near_duplicates import PlainNearDuplicates
from plain_reading import Rejection
from tokenizers import Tokenizer

INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
LEAST_CHARS = 50
CLOSED_TASKS = frozenset(
    ("classification", "question_answering", "extraction", "translation", "math", "tool_call", "code_generation")
)
AT_ONCE = 2_000  # texts per call of the tokenizer, so that its encodings do not fill the memory
LABELS = (
    "interaction_id", "day", "timestamp", "user_id", "conversation_id", "role", "task_type", "reasoning_mode", "domain",
    "source", "model_version", "rating", "judge", "expert_verdict",
)  # fmt: skip
COLUMNS = (
    "example_id", *LABELS, "prompt_id", "answer_id", "messages", "high_score", "quality_score", "corrected", "masked",
    "duplicate_group", "cluster_id", "n_tokens", "faults",
)  # fmt: skip

Turn = dict[str, Any]
Stage = Callable[[str], AbstractContextManager[None]]


class PlainCuration:
    """Holds what later days need of earlier ones: ids, clusters, and the index of near-duplicates."""

    def __init__(self, tokenizer: Path, stage: Stage):
        self._stage = stage
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._near = PlainNearDuplicates()
        self._ids: list[str] = []  # by the index's row numbers
        self._groups: list[str] = []
        self._clusters: list[str] = []
        self._known: set[str] = set()
        self._by_conversation: dict[str, str] = {}
        self._by_prompt: dict[str, str] = {}
        self._order: dict[str, int] = {}  # cluster to the row that began it

    def day(self, raw: pd.DataFrame) -> tuple[pd.DataFrame, list[Rejection]]:
        """The day's examples and a rejection for every other row."""
        with self._stage("normalise"):
            turns = [
                compose(messages, context, correction)
                for messages, context, correction in zip(
                    raw["messages"], raw["context"], raw["corrected_output"], strict=True
                )
            ]
        with self._stage("rules"):
            reasons = [broken_rule(each, task) for each, task in zip(turns, raw["task_type"], strict=True)]
            raw = raw.assign(messages=turns, reason=reasons, **scores(raw))
            rejections = rejected(raw[raw["reason"] != ""])
            raw = raw[raw["reason"] == ""].reset_index(drop=True)
        with self._stage("faults"):
            raw = without_faulty(raw)
        with self._stage("mask"):
            raw = masked(raw)
        with self._stage("exact_duplicates"):
            raw, repeated = self._without_repeats(identified(raw))
        with self._stage("near_duplicates"):
            near = self._near.add([texts_of(turns) for turns in raw["messages"]])
        with self._stage("clusters"):
            raw = self._clustered(raw, near)
        with self._stage("tokens"):
            raw["n_tokens"] = self._tokens(raw["messages"])
        return raw[list(COLUMNS)], rejections + repeated

    def _without_repeats(self, raw: pd.DataFrame) -> tuple[pd.DataFrame, list[Rejection]]:
        again = raw["example_id"].duplicated() | np.array([each in self._known for each in raw["example_id"]])
        self._known.update(raw["example_id"])
        return raw[~again].reset_index(drop=True), rejected(raw[again].assign(reason="exact_duplicate"))

    def _clustered(self, raw: pd.DataFrame, near: list[list[int]]) -> pd.DataFrame:
        """Joins near-duplicates, conversations and equal prompts; a cluster keeps the id of its first row."""
        for example, prompt, conversation, earlier in zip(
            raw["example_id"], raw["loose_prompt"], raw["conversation_id"], near, strict=True
        ):
            touched = {self._clusters[other] for other in earlier}
            touched.add(self._by_prompt.get(prompt, example))
            if isinstance(conversation, str):
                touched.add(self._by_conversation.get(conversation, example))
            self._order[example] = len(self._order)
            cluster = min(touched, key=self._order.__getitem__)
            self._by_prompt.setdefault(prompt, cluster)
            if isinstance(conversation, str):
                self._by_conversation.setdefault(conversation, cluster)
            self._ids.append(example)
            self._clusters.append(cluster)
            self._groups.append(self._groups[earlier[0]] if earlier else example)
        return raw.assign(cluster_id=self._clusters[-len(raw) :], duplicate_group=self._groups[-len(raw) :])

    def _tokens(self, messages: pd.Series) -> list[int]:
        texts = [turn["content"] for turns in messages for turn in turns]
        counts: list[int] = []
        for start in range(0, len(texts), AT_ONCE):
            encoded = self._tokenizer.encode_batch_fast(texts[start : start + AT_ONCE], add_special_tokens=False)
            counts += [len(each) for each in encoded]
        ends = np.cumsum([len(turns) for turns in messages])
        sums = np.concatenate([[0], np.cumsum(counts)])
        return np.diff(sums[np.concatenate([[0], ends])]).tolist()


def normalise(text: str) -> str:
    """One spelling of a text."""
    text = unicodedata.normalize("NFC", INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def compose(messages: list[Turn], context: object, correction: object) -> list[Turn]:
    """The turns with the context before the first question and the correction as the answer, normalised."""
    turns = [turn | {"content": normalise(turn["content"])} for turn in messages]
    if isinstance(context, str):
        asked = next((turn for turn in turns if turn["role"] == "user"), None)
        if asked and context not in asked["content"]:
            asked["content"] = f"{normalise(context)}\n\n{asked['content']}"
    if isinstance(correction, str):
        kept = turns[:-1] if turns[-1]["role"] == "assistant" else turns
        turns = [*kept, {"role": "assistant", "content": normalise(correction), "tool_calls": None}]
    return turns


def broken_rule(turns: list[Turn], task: object) -> str:
    """The first structure rule that the turns break, or nothing."""
    roles, answer = [turn["role"] for turn in turns], turns[-1]
    if roles[-1] != "assistant":
        return "ends_without_answer"
    if not answer["content"].strip() and not answer["tool_calls"]:
        return "empty_answer"
    if "user" not in roles:
        return "no_user_turn"
    if any(not turn["content"].strip() and not turn["tool_calls"] and turn["role"] != "tool" for turn in turns):
        return "empty_turn"
    if "system" in roles[1:] or any(one == other == "user" for one, other in pairwise(roles)):
        return "turns_out_of_order"
    least = 1 if task in CLOSED_TASKS else LEAST_CHARS
    return "answer_too_short" if len(answer["content"].strip()) < least and not answer["tool_calls"] else ""


def scores(raw: pd.DataFrame) -> dict[str, pd.Series]:
    """Every signal that is present must pass, and at least one must be present."""
    expert = raw["expert_verdict"].map({"accept": 1.0, "reject": 0.0})
    corrected = raw["corrected_output"].notna()
    passes = (raw["rating"].isna() | (raw["rating"] >= 4)) & (raw["judge_mean"].isna() | (raw["judge_mean"] > 0.8))
    signals = pd.concat([(raw["rating"] - 1) / 4, raw["judge_mean"], expert], axis=1)
    passes &= (expert != 0) & signals.notna().any(axis=1)
    quality = signals.mean(axis=1).where(~corrected, 1.0)
    return {"high_score": passes | corrected, "quality_score": quality, "corrected": corrected}


def without_faulty(raw: pd.DataFrame) -> pd.DataFrame:
    """The rows with the faults of their answers; who has one is no high score, unless an expert wrote or took it."""
    asked = [
        next((turn["content"] for turn in reversed(turns) if turn["role"] == "user"), "") for turns in raw["messages"]
    ]
    pairs = zip(raw["messages"], asked, raw["task_type"], strict=True)
    found = [faults_of(turns[-1]["content"], prompt, task in CLOSED_TASKS) for turns, prompt, task in pairs]
    vouched = raw["corrected"] | (raw["expert_verdict"] == "accept")
    faulty = np.array([bool(names) for names in found], dtype=bool)
    return raw.assign(faults=found, high_score=raw["high_score"] & (vouched | ~faulty))


def masked(raw: pd.DataFrame) -> pd.DataFrame:
    """The rows with masked texts, one masker per conversation, and how much was masked in each."""
    maskers: dict[str, PlainMasker] = {}
    turns, counts = [], []
    for messages, conversation in zip(raw["messages"], raw["conversation_id"], strict=True):
        masker = maskers.setdefault(conversation, PlainMasker()) if isinstance(conversation, str) else PlainMasker()
        masker.counts = {}
        turns.append([masked_turn(turn, masker) for turn in messages])
        counts.append(json.dumps(masker.counts))
    users = raw["user_id"].map(lambda user: "pseudonym-" + digest(user)[:16] if "@" in user else user)
    return raw.assign(messages=turns, masked=counts, user_id=users)


def masked_turn(turn: Turn, masker: PlainMasker) -> Turn:
    """The turn with its content and tool calls masked."""
    calls = masker.mask(turn["tool_calls"]) if turn["tool_calls"] else None
    return {"role": turn["role"], "content": masker.mask(turn["content"]), "tool_calls": calls}


def identified(raw: pd.DataFrame) -> pd.DataFrame:
    """The rows with their ids: of the example, the prompt, the answer, and the prompt without case and spacing."""
    messages = raw["messages"]
    return raw.assign(
        example_id=[digest(json.dumps(turns, ensure_ascii=False)) for turns in messages],
        prompt_id=[digest(json.dumps(turns[:-1], ensure_ascii=False)) for turns in messages],
        answer_id=[digest(loose(turns[-1]["content"]) + (turns[-1]["tool_calls"] or "")) for turns in messages],
        loose_prompt=[digest("\n".join(loose(turn["content"]) for turn in turns[:-1])) for turns in messages],
    )


def texts_of(turns: list[Turn]) -> tuple[str, str]:
    """The prompt and the answer that are compared."""
    asked = "\n".join(turn["content"] for turn in turns[:-1] if turn["role"] != "system")
    return asked, turns[-1]["content"]


def rejected(rows: pd.DataFrame) -> list[Rejection]:
    """A rejection for each row, by its column `reason`."""
    places = zip(rows["day"], rows["source_file"], rows["line"], rows["reason"], strict=True)
    return [("curation", day, f"{file}:{line}", reason, reason) for day, file, line, reason in places]


def loose(text: str) -> str:
    """The text without case and spacing."""
    return " ".join(text.casefold().split())


def digest(text: str) -> str:
    """The first 128 bits of the SHA-256 in hex, as ours."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]

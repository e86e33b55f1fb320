"""What the fields of an interaction are called in foreign records. A new spelling is a new name here."""

# Field of Interaction: the names it goes by, the preferred one first. The order is that of the readers.
NAMES: dict[str, tuple[str, ...]] = {
    "interaction_id": ("interaction_id", "id"),
    "timestamp": ("timestamp", "created_at"),
    "user_id": ("user_id",),
    "conversation_id": ("conversation_id",),
    "role": ("role",),
    "task_type": ("task_type", "task"),
    "reasoning_mode": ("reasoning_mode",),
    "context": ("context",),
    "model_version": ("model_version", "model"),
    "rating": ("rating", "user_rating", "user_feedback"),
    "expert_verdict": ("expert_verdict",),
    "corrected_output": ("corrected_output",),
    "outcome": ("outcome",),
    "latency_ms": ("latency_ms",),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "source": ("source",),
    "source_kind": ("source_kind",),
    "domain": ("domain",),
    "difficulty": ("difficulty",),
    "tags": ("tags",),
}
# Judge scores add up instead: each name that is present is a criterion, or several, of its own.
JUDGE_NAMES = ("judge", "judge_score", "judge_scores", "quality_score")
# Only a record that is feedback and nothing else may use these: elsewhere they could mean anything.
FEEDBACK_NAMES: dict[str, tuple[str, ...]] = {
    "rating": NAMES["rating"],
    "expert_verdict": ("expert_verdict", "verdict"),
    "corrected_output": ("corrected_output", "correction"),
    "outcome": ("outcome",),
}
CANONICAL = (
    {name: field for field, names in NAMES.items() for name in names}
    | dict.fromkeys(JUDGE_NAMES, "judge")
    | {"verdict": "expert_verdict", "correction": "corrected_output"}
)
FIELD_NAMES = frozenset(name for names in NAMES.values() for name in names) | frozenset(JUDGE_NAMES)

# A CSV cell is text; under these names it stands for a number, or for the JSON that it holds.
COUNT_NAMES = frozenset({"prompt_tokens", "completion_tokens"})  # pandas writes 12 as 12.0 beside an empty cell
NUMBER_NAMES = (
    frozenset(NAMES["timestamp"])
    | frozenset(NAMES["rating"])
    | frozenset({"judge", "judge_score", "quality_score", "latency_ms"})
    | COUNT_NAMES
)
JSON_NAMES = frozenset(
    [
        *("messages", "conversation", "conversations", "examples", "fields", "responses"),
        *("judge", "judge_scores", "tags", "metadata"),
    ]
)
TEXT_OR_TURNS = frozenset(["prompt", "completion", "chosen", "rejected"])  # JSON only where it is a list of turns
COLUMN_NAMES = (
    FIELD_NAMES
    | JSON_NAMES
    | TEXT_OR_TURNS
    | frozenset(CANONICAL)
    | frozenset({"input_text", "output_text", "instruction", "input", "output", "text", "transcript", "system"})
)

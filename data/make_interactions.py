"""Makes the bundled interactions in `data/landing*/` and the golden set in `data/golden/`.

    python data/make_interactions.py --out data

Everything is generated here from word lists and one seed; no text is copied from anywhere. Batch 1 (`landing/`) lacks
the software developer's task `code_generation`; batch 2 (`landing_second/`) brings it, so that the second model has
something to learn. The logs look like logs: ratings, judge scores, reviews and corrections, answers that are wrong and
rated so, duplicates, secrets, answers that are too short, and lines that are broken.

The golden set is frozen: it covers all three tasks, one row per prompt, in two slices: `new_combination` (values that
training has seen, in combinations it has not) and `unseen_value` (hosts, things and entities of a list of their own).
"""

import argparse
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interaction_words import (
    ASPECTS,
    COMPONENTS,
    ENTITIES,
    FIELDS,
    HOSTS,
    LEVELS,
    THINGS,
    TROUBLES,
    UNSEEN,
    VERBS,
    Words,
)

SEEN = Words(HOSTS, THINGS, ENTITIES, FIELDS)
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
BATCH_1_DAYS, BATCH_2_DAYS = 40, 4
SEED = 20260105


@dataclass(frozen=True)
class Task:
    """A prompt, its right answer, and a wrong one that a worse model might have given."""

    task_type: str
    prompt: str
    answer: str
    wrong: str


# ---- what software developers ask ------------------------------------------------------------------------------------
TRIAGE_FRAMES = [
    "Triage this log line.\n{log}",
    "Where do I look first?\n{log}",
    "{log}\nWhat is going on here?",
    "Our pager fired with this:\n{log}",
]
LOG_STYLES = [
    "{level} {component}: the {thing} on {host} {trouble}",
    "[{host}] {level} {component}/{thing} {trouble} id={number}",
    "level={level} service={component} host={host} op={thing} msg={trouble}",
]
COMMIT_FRAMES = [
    "Write this as a conventional commit: {change}",
    "{change}\nCommit message?",
    "Name the change. {change}",
    "Turn the change into a commit line.\n{change}",
]
CHANGE_STYLES = [
    "{verb} the {thing} {aspect} in the {component} module.",
    "{verb} {thing} {aspect} for {component}.",
    "In {component}, {lower} the {thing} {aspect}.",
]
CODE_FRAMES = [
    "Write a Python function that {wish}.",
    "I need a function which {wish}.",
    "Python, please: {wish}.",
    "How would you write a helper that {wish}?",
]


def triage(rng: random.Random, words: Words) -> Task:
    severity = rng.choice(list(LEVELS))
    component, thing, host = rng.choice(COMPONENTS), rng.choice(words.things), rng.choice(words.hosts)
    log = rng.choice(LOG_STYLES).format(
        level=rng.choice(LEVELS[severity]),
        component=component,
        thing=thing,
        host=host,
        trouble=rng.choice(TROUBLES),
        number=rng.randint(100, 999),
    )
    shape = "severity: {}\ncomponent: {}\nlook first: the {} on {}"
    others = [s for s in LEVELS if s != severity]
    wrong = shape.format(rng.choice(others), rng.choice(COMPONENTS), rng.choice(words.things), host)
    return Task(
        "debugging", rng.choice(TRIAGE_FRAMES).format(log=log), shape.format(severity, component, thing, host), wrong
    )


def commit(rng: random.Random, words: Words) -> Task:
    kind = rng.choice(list(VERBS))
    verb, component = rng.choice(VERBS[kind]), rng.choice(COMPONENTS)
    thing, aspect = rng.choice(words.things), rng.choice(ASPECTS)
    style = rng.choice(CHANGE_STYLES)
    change = style.format(verb=verb.capitalize(), lower=verb, thing=thing, aspect=aspect, component=component)
    answer = f"{kind}({component}): {verb} {thing} {aspect}"
    wrong = f"{rng.choice([k for k in VERBS if k != kind])}({rng.choice(COMPONENTS)}): update {aspect}"
    return Task("commit_message", rng.choice(COMMIT_FRAMES).format(change=change), answer, wrong)


def code(rng: random.Random, words: Words) -> Task:
    entity, name = rng.choice(words.entities), f"{rng.choice(words.fields)} {rng.choice(ASPECTS)}"
    snake, number = name.replace(" ", "_"), rng.randint(2, 99)
    wish, body = rng.choice(
        [
            (f"returns the {name} of a {entity}", f"def {snake}({entity}):\n    return {entity}.{snake}"),
            (
                f"sets the {name} of a {entity} to {number}",
                f"def set_{snake}({entity}):\n    {entity}.{snake} = {number}",
            ),
            (
                f"says whether the {name} of a {entity} is over {number}",
                f"def is_over({entity}):\n    return {entity}.{snake} > {number}",
            ),
        ]
    )
    wrong = f"def {rng.choice(words.fields)}(x):\n    pass"
    return Task("code_generation", rng.choice(CODE_FRAMES).format(wish=wish), body, wrong)


# ---- what the other roles ask ----------------------------------------------------------------------------------------
def interaction_of_parts(rng: random.Random, words: Words) -> Task:
    a, b = rng.sample(COMPONENTS, 2)
    thing, through = (
        rng.choice(words.things),
        rng.choice(["a queue", "an event bus", "a REST call", "a shared table", "gRPC"]),
    )
    prompt = rng.choice(
        ["How should {a} tell {b} about a new {t}? We have {w}.", "{b} needs every {t} of {a}. Use {w}."]
    )
    answer = f"{a} writes the {thing} first, then announces it through {through}; {b} reads it when it is ready."
    return Task(
        "component_interaction", prompt.format(a=a, b=b, t=thing, w=through), answer, f"Put {a} and {b} together."
    )


def pattern(rng: random.Random, words: Words) -> Task:
    component, thing = rng.choice(COMPONENTS), rng.choice(words.things)
    need, name = rng.choice(
        [
            ("must survive a slow neighbour", "circuit breaker"),
            ("is read far more often than written", "read replica"),
            ("must happen once, also after a crash", "outbox"),
            ("spans three services", "saga"),
        ]
    )
    prompt = rng.choice(["Which pattern fits when the {t} of {c} {n}?", "In {c} the {t} {n}. What do you propose?"])
    answer = f"Use a {name}: the {thing} of {component} {need}, and a {name} is made for that."
    return Task(
        "architecture_pattern", prompt.format(t=thing, c=component, n=need), answer, "Rewrite it in another language."
    )


def test_cases(rng: random.Random, words: Words) -> Task:
    who, verb = (
        rng.choice(["customer", "operator", "auditor", "analyst"]),
        rng.choice(["export", "delete", "rename", "share"]),
    )
    thing, component = rng.choice(words.things), rng.choice(COMPONENTS)
    prompt = rng.choice(
        ["Test case: a {w} may {v} a {t} in {c}.", "Write given-when-then. In {c} the {w} can {v} the {t}."]
    )
    answer = f"Given a signed-in {who} in {component}\nWhen they {verb} the {thing}\nThen the audit log shows it once"
    return Task("test_cases", prompt.format(w=who, v=verb, t=thing, c=component), answer, "It should work.")


def bug(rng: random.Random, words: Words) -> Task:
    thing, component, trouble = rng.choice(words.things), rng.choice(COMPONENTS), rng.choice(TROUBLES)
    prompt = rng.choice(
        ["Is this a bug? In {c} the {t} {x} twice a day.", "{t} of {c} {x} since the last release. Title?"]
    )
    answer = (
        f"Bug in {component}: the {thing} {trouble}. Expected: it ends or says why. Seen: neither, in every third run."
    )
    return Task("bug_identification", prompt.format(c=component, t=thing, x=trouble), answer, "No bug.")


def infrastructure(rng: random.Random, words: Words) -> Task:
    component, host, count = rng.choice(COMPONENTS), rng.choice(words.hosts), rng.randint(2, 9)
    prompt = rng.choice(["Define {n} replicas of {c} on {h}.", "We want {c} on {h}, {n} of them. YAML?"])
    answer = f"name: {component}\nreplicas: {count}\nnode: {host}\nrestart: always\nprobe: /healthz"
    return Task("infrastructure_definition", prompt.format(n=count, c=component, h=host), answer, f"run {component}")


def pipeline(rng: random.Random, words: Words) -> Task:
    component, thing = rng.choice(COMPONENTS), rng.choice(words.things)
    prompt = rng.choice(
        ["What does the pipeline of {c} do when the {t} changes?", "CI steps for a change of the {t} in {c}?"]
    )
    answer = f"1. build {component}\n2. test the {thing}\n3. deploy {component} to staging\n4. wait for the probe"
    return Task("ci_cd", prompt.format(c=component, t=thing), answer, "Deploy it.")


def requirement(rng: random.Random, words: Words) -> Task:
    who, thing = rng.choice(["customer", "operator", "auditor", "analyst"]), rng.choice(words.things)
    component = rng.choice(COMPONENTS)
    prompt = rng.choice(["A {w} wants the {t} in {c}. Requirement?", "Write the user story: {w}, {t}, {c}."])
    answer = f"As a {who} I want to see the {thing} in {component}, so that I can act on it the same day."
    return Task("requirements", prompt.format(w=who, t=thing, c=component), answer, "The user wants things.")


def priority(rng: random.Random, words: Words) -> Task:
    a, b, component = rng.choice(words.things), rng.choice(words.things), rng.choice(COMPONENTS)
    prompt = rng.choice(["{c}: {a} or {b} first?", "We can only do one for {c} this week, the {a} or the {b}."])
    answer = f"First the {a}, because {component} cannot be sold without it. The {b} can wait for the next planning."
    return Task("prioritisation", prompt.format(c=component, a=a, b=b), answer, "Both.")


Maker = Callable[[random.Random, Words], Task]
OTHER_ROLES: dict[str, tuple[int, tuple[Maker, Maker]]] = {
    "software-architect": (66, (interaction_of_parts, pattern)),
    "qa-engineer": (73, (test_cases, bug)),
    "devops-engineer": (84, (infrastructure, pipeline)),
    "product-manager": (60, (requirement, priority)),
}


def distinct(rng: random.Random, makers: tuple[Maker, ...], words: Words, taken: set[str]) -> Iterator[Task]:
    """Tasks in turn, none of whose prompts was seen before."""
    while True:
        for maker in makers:
            task = maker(rng, words)
            while task.prompt in taken:
                task = maker(rng, words)
            taken.add(task.prompt)
            yield task


# ---- how people rate -------------------------------------------------------------------------------------------------
CRITERIA = ["relevance", "completeness", "accuracy", "clarity", "helpfulness"]


def judged(rng: random.Random, low: float, high: float) -> dict[str, float]:
    return {criterion: round(rng.uniform(low, high), 2) for criterion in CRITERIA}


def good_signals(rng: random.Random) -> dict[str, Any]:
    kind = rng.random()
    if kind < 0.60:
        return {"user_feedback": rng.choice([4, 4.5, 5, 5])}
    if kind < 0.85:
        return {"judge": judged(rng, 0.84, 0.99)}
    if kind < 0.95:
        return {"user_feedback": rng.choice([4, 5]), "judge": judged(rng, 0.84, 0.99)}
    return {"expert_verdict": "accept"}


def bad_signals(rng: random.Random) -> dict[str, Any]:
    kind = rng.random()
    if kind < 0.5:
        return {"user_feedback": rng.choice([1, 1, 2, 2.5, 3])}
    if kind < 0.75:
        return {"judge": judged(rng, 0.2, 0.7)}
    if kind < 0.9:
        return {"user_feedback": 5, "judge": judged(rng, 0.3, 0.7)}  # liked, and wrong: every present signal must pass
    return {"expert_verdict": "reject"}


@dataclass
class Log:
    """Rows in the order they were logged, each with its day; ids count up over both batches."""

    rng: random.Random
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    number: int = 0

    def add(self, day: int, role: str, task: Task, answer: str, signals: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.number += 1
        moment = FIRST_DAY + timedelta(days=day, seconds=self.rng.randint(7 * 3600, 19 * 3600))
        row = {
            "interaction_id": f"log-{self.number:05d}",
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            # As many users as keep each under the limits of a snapshot; odd and even rows have users of their own.
            "user_id": f"user-{self.rng.randint(1, 60) + 60 * (self.number % 2):03d}",
            "role": role,
            "task_type": task.task_type,
            "input_text": task.prompt,
            "output_text": answer,
            "reasoning_mode": "standard",
            "model_version": self.rng.choice(["assistant-2025-11", "assistant-2026-01"]),
            "latency_ms": self.rng.randint(180, 2400),
            "source": "ide-plugin" if role == "software-developer" else "web-chat",
            **signals,
            **more,
        }
        self.rows.append((day, row))
        return row

    def good(self, day: int, role: str, task: Task) -> dict[str, Any]:
        """Mostly a right answer that was liked; now and then a wrong one that an expert corrected."""
        if self.rng.random() < 0.04:
            return self.add(day, role, task, task.wrong, {"user_feedback": 2}, corrected_output=task.answer)
        conversation = f"conv-{self.rng.randint(1, 400):03d}" if self.rng.random() < 0.06 else None
        more = {"conversation_id": conversation} if conversation else {}
        return self.add(day, role, task, task.answer, good_signals(self.rng), **more)


def add_dirt(log: Log, days: range, tasks: Iterator[Task], role: str, amount: int) -> None:
    """Wrong answers with the ratings they deserve, duplicates, near-duplicates, secrets, unrated and short answers."""
    rng = log.rng
    originals = [(day, row) for day, row in log.rows if row["role"] == role and day in days]
    for _ in range(amount):
        day = rng.choice(days)
        task = next(tasks)
        log.add(day, role, task, task.wrong, bad_signals(rng))
    for _ in range(amount // 3):
        day, row = rng.choice(originals)
        again = {key: row[key] for key in ("input_text", "output_text")}
        log.add(day, role, Task(row["task_type"], "", "", ""), "", good_signals(rng), **again)
    for _ in range(amount // 3):
        day, row = rng.choice(originals)
        politer = {
            "input_text": row["input_text"] + rng.choice([" Thanks!", " please", "\n"]),
            "output_text": row["output_text"],
        }
        log.add(day, role, Task(row["task_type"], "", "", ""), "", good_signals(rng), **politer)
    for secret in (
        "mail me at jane.doe@example.com",
        "call +1 415 555 0134",
        "the box is 10.20.30.40",
        "token ghp_" + "a1B2c3D4e5" * 3 + "F6g7H8",
    ):
        for _ in range(max(1, amount // 40)):
            task = next(tasks)
            spoken = Task(task.task_type, f"{task.prompt}\n({secret})", task.answer, task.wrong)
            log.add(rng.choice(days), role, spoken, task.answer, good_signals(rng))
    for _ in range(amount // 8):
        task = next(tasks)
        log.add(rng.choice(days), role, task, task.answer, {})  # nobody rated it
        short = Task("explanation", f"Explain to a new colleague: {task.prompt}", "", "")
        log.add(rng.choice(days), role, short, rng.choice(["ok", "See above.", "It depends."]), {"user_feedback": 5})


# ---- files -----------------------------------------------------------------------------------------------------------
BROKEN_LINES = [
    '{"interaction_id": "log-x1", "input_text": ',
    "not json at all",
    '{"prompt_only": "nobody answered"}',
    "[]",
]


def write_day(folder: Path, day: int, rows: list[dict[str, Any]], rng: random.Random, name: str) -> None:
    """One day's rows: most as native JSON lines, on some days a gzip file or a container of reviewed examples."""
    path = folder / (FIRST_DAY + timedelta(days=day)).strftime("%Y-%m-%d")
    path.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if day % 7 == 3:
        reviewed = [
            row for row in rows if "judge" in row and "user_feedback" not in row and "conversation_id" not in row
        ][:4]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows if row not in reviewed]
        (path / "reviewed.json").write_text(
            json.dumps({"examples": [as_example(row) for row in reviewed]}, indent=1) + "\n"
        )
    if day % 5 == 1:
        lines.insert(rng.randrange(len(lines)), rng.choice(BROKEN_LINES))
    text = "\n".join(lines) + "\n"
    if day % 6 == 2:
        (path / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        (path / f"{name}.jsonl").write_text(text)


def as_example(row: dict[str, Any]) -> dict[str, Any]:
    """The same row in the examples container that reviewers export."""
    scores = row["judge"]
    turns = [{"role": "user", "content": row["input_text"]}, {"role": "assistant", "content": row["output_text"]}]
    quality = round(sum(scores.values()) / len(scores), 3)
    metadata = {"source": "review", "difficulty": "medium", "quality_score": quality, "tags": ["reviewed"]}
    return {
        "id": row["interaction_id"],
        "role": row["role"],
        "task_type": row["task_type"],
        "messages": turns,
        "metadata": metadata,
    }


def golden_set(taken: set[str], rows_per_task: int = 70, unseen_per_task: int = 30) -> list[dict[str, Any]]:
    """At least 200 rows of seen values in new combinations, and a slice of values that training never holds."""
    rng = random.Random(SEED + 1)
    rows = []
    for slice_name, words, count in (
        ("new_combination", SEEN, rows_per_task),
        ("unseen_value", UNSEEN, unseen_per_task),
    ):
        for maker in (triage, commit, code):
            tasks = distinct(rng, (maker,), words, taken)
            for number in range(count):
                task = next(tasks)
                turns = [{"role": "user", "content": task.prompt}, {"role": "assistant", "content": task.answer}]
                name = f"golden-{slice_name}-{task.task_type}-{number:03d}"
                rows.append(
                    {
                        "id": name,
                        "cluster_id": name,
                        "task_type": task.task_type,
                        "slice": slice_name,
                        "messages": turns,
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    taken: set[str] = set()
    golden = golden_set(taken)  # first, so that no interaction ever asks a golden prompt
    log = Log(random.Random(SEED))
    first, second = range(BATCH_1_DAYS), range(BATCH_1_DAYS, BATCH_1_DAYS + BATCH_2_DAYS)
    known = distinct(log.rng, (triage, commit), SEEN, taken)
    for _ in range(680):
        log.good(log.rng.choice(first), "software-developer", next(known))
    for role, (count, makers) in OTHER_ROLES.items():
        tasks = distinct(log.rng, makers, SEEN, taken)
        for _ in range(count):
            log.good(log.rng.choice(first), role, next(tasks))
        add_dirt(log, first, tasks, role, 12)
    add_dirt(log, first, known, "software-developer", 120)
    batch_1 = len(log.rows)
    new = distinct(log.rng, (code,), SEEN, taken)
    for _ in range(260):
        log.good(log.rng.choice(second), "software-developer", next(new))
    for _ in range(20):
        log.good(log.rng.choice(second), "software-developer", next(known))
    add_dirt(log, second, new, "software-developer", 24)
    for folder, rows in (("landing", log.rows[:batch_1]), ("landing_second", log.rows[batch_1:])):
        for day in sorted({day for day, _ in rows}):
            write_day(
                out / folder, day, [row for on, row in rows if on == day], log.rng, f"chat-{folder[8:] or 'first'}"
            )
    (out / "golden").mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) for row in golden)
    (out / "golden" / "software-developer.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{batch_1} rows in batch 1, {len(log.rows) - batch_1} in batch 2, {len(golden)} golden rows")


if __name__ == "__main__":
    main()

"""Masking: precision and recall on the labelled cases, and CPU against a plain `re` pipeline on generated chat rows.

    python benchmarks/masking.py

The peer is what one writes first: a list of compiled patterns, applied to every row one after the other, with the same
check digits. It knows fewer kinds than we do. 20,000 rows of about 1 KB, at 3 % and at 30 % rows with a planted secret;
each run in a process of its own, medians of three, CPU seconds without start-up. Both must mask all that was planted.
"""

import ipaddress
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from ft_assets.curation.pii import Masker, may_hold_secret
from ft_assets.curation.pii_checksums import iban_check, luhn
from ft_assets.curation.pii_detector import in_ascii_signs

CASES = Path(__file__).parents[1] / "ft_assets_tests" / "curation" / "pii_cases.jsonl"
ROWS = 20_000
SHARES = (0.03, 0.30)
ROUNDS = 3
COMMON = "the of and to in is that for it as was with key token number call secret phone model data file user"


# ---- the peer --------------------------------------------------------------------------------------------------------
def _is_card(value: str) -> bool:
    digits = re.sub(r"[ \-]", "", value)
    return 13 <= len(digits) <= 19 and digits[0] in "23456" and luhn(digits)


def _is_iban(value: str) -> bool:
    characters = value.replace(" ", "")
    return 15 <= len(characters) <= 34 and iban_check(characters)


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _has_digits_of_a_phone(value: str) -> bool:
    return 8 <= sum(character.isdigit() for character in value) <= 15


PLAIN: list[tuple[str, re.Pattern[str], Callable[[str], bool] | None]] = [
    ("KEY", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----"), None),
    ("URL", re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@]+:[^\s@/]+@"), None),
    ("JWT", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), None),
    ("AWS", re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), None),
    ("AWS", re.compile(r"(?i)aws_?secret_?(?:access_?)?key[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}"), None),
    ("AZURE", re.compile(r"(?i)(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,86}=*"), None),
    ("GITHUB", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w-]{20,})"), None),
    ("SLACK", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), None),
    ("OPENAI", re.compile(r"\bsk-(?:proj-|ant-)?[\w-]{20,}"), None),
    ("STRIPE", re.compile(r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"), None),
    ("GOOGLE", re.compile(r"\bAIza[\w-]{35}"), None),
    ("OTHER", re.compile(r"\b(?:hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,})"), None),
    ("SECRET", re.compile(r"(?i)\b(?:api_?key|password|secret|token)[\"']?\s*[:=]\s*[\"']?[\w+/=-]{16,}"), None),
    ("EMAIL", re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+"), None),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _is_iban),
    ("CARD", re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), _is_card),
    ("SSN", re.compile(r"\b(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"), None),
    ("IPV6", re.compile(r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}\b"), _is_ip),
    ("IPV4", re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"), _is_ip),
    (
        "PHONE",
        re.compile(r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}|\(\d{3}\) ?\d{3}[ .-]\d{4}\b|\b\d{3}[.-]\d{3}[.-]\d{4}\b"),
        _has_digits_of_a_phone,
    ),
]


def mask_plainly(texts: list[str]) -> list[str]:
    """Every pattern over every text."""
    masked = []
    for text in texts:
        for kind, pattern, check in PLAIN:
            text = pattern.sub(lambda match, k=kind, c=check: f"<{k}>" if not c or c(match[0]) else match[0], text)
        masked.append(text)
    return masked


def mask_ours(texts: list[str]) -> list[str]:
    """The column test, then Python on the rows that it names; the way back into a column counts as well."""
    column = pl.Series(texts)
    places = may_hold_secret(column).arg_true()
    if len(places):
        column = column.scatter(places, pl.Series([Masker().mask(text) for text in column.gather(places)]))
    return column.to_list()


# ---- the rows --------------------------------------------------------------------------------------------------------
def _secrets(rng: random.Random) -> Iterator[tuple[str, str]]:
    """Sentences with a secret and the secret, without end."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    def key(size: int) -> str:
        return "7a" + "".join(rng.choices(letters, k=size - 2))

    def digits(size: int) -> str:
        return "".join(rng.choices("0123456789", k=size))

    while True:
        card = next(number for number in (f"4{digits(15)}" for _ in iter(int, 1)) if luhn(number))
        account = next(
            f"DE{check:02}{bban}"
            for bban in [digits(18)]
            for check in range(2, 99)
            if iban_check(f"DE{check:02}{bban}")
        )
        yield from (
            ("my address is {}.", f"{key(6).lower()}.{key(5).lower()}@example.com"),
            ("call me at {} today", f"+1 (415) 555-{digits(4)}"),
            ("the host {} is down", f"10.{rng.randint(1, 250)}.{rng.randint(1, 250)}.{rng.randint(1, 250)}"),
            ("use {} for the bucket", "AKIA" + key(16).upper()),
            ("token {} leaked", f"ghp_{key(36)}"),
            ("charge {} please", " ".join(card[place : place + 4] for place in (0, 4, 8, 12))),
            ("pay to {} soon", " ".join(account[place : place + 4] for place in range(0, 22, 4))),
            ("see postgres://{}@db.example.com/x", f"app:{key(12)}"),
            ("my SSN {} is", f"5{digits(2)}-4{digits(1)}-1{digits(3)}"),
            ("OPENAI_API_KEY={}", f"sk-proj-{key(40)}"),
        )


def rows(share: float) -> tuple[list[str], dict[int, str]]:
    """Chat rows of about 1 KB, and what was planted in which. Numbers, dates, code and accents occur as they do."""
    rng = random.Random(7)
    words = COMMON.split()
    words += ["".join(rng.choices("abcdeilmnorstu", k=rng.randint(3, 10))) for _ in range(4000)]
    extras = [
        "2026-01-04",
        "v1.2.3",
        "café",
        "x = items[1:10]",
        "https://example.com/a?b=1",
        "3.14",
        "(see 12)",
        "日本語",
        "#42",
    ]
    planted, texts, secrets = {}, [], _secrets(rng)
    for place in range(ROWS):
        said = rng.choices(words, k=140) + rng.choices(extras, k=6)
        rng.shuffle(said)
        if rng.random() < share:
            sentence, planted[place] = next(secrets)
            said.insert(rng.randrange(len(said)), sentence.format(planted[place]))
        texts.append(" ".join(said))
    return texts, planted


# ---- the measurement -------------------------------------------------------------------------------------------------
def measure(name: str, share: float) -> dict[str, float]:
    """CPU seconds of one pipeline over the rows, and how many planted secrets are still there."""
    mask = {"ours": mask_ours, "plain re": mask_plainly}[name]
    texts, planted = rows(share)
    mask(texts[:50])  # imports, and patterns that compile when they are first used
    started = time.process_time()
    masked = mask(texts)
    seconds = time.process_time() - started
    left = sum(secret in masked[place] for place, secret in planted.items())
    changed = sum(masked[place] != text for place, text in enumerate(texts) if place not in planted)
    size = sum(len(text.encode()) for text in texts) / 1024
    return {"seconds": seconds, "planted": len(planted), "left": left, "others_changed": changed, "kib": size}


def _in_a_process(name: str, share: float) -> dict[str, float]:
    command = [sys.executable, __file__, name, str(share)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed, so there is nothing to compare:\n{done.stderr}")
    return json.loads(done.stdout)


def print_accuracy() -> None:
    """Precision and recall per kind, on the cases that rules were tuned on and on those held out."""

    class Recording(Masker):
        def _placeholder(self, kind: str, value: str) -> str:
            found[kind, value] += 1
            return super()._placeholder(kind, value)

    sums = {held_out: {"right": Counter(), "wrong": Counter(), "missed": Counter()} for held_out in (False, True)}
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    for case in cases:
        found: Counter[tuple[str, str]] = Counter()
        Recording().mask(case["text"])
        labelled = Counter((kind, in_ascii_signs(value)) for kind, value in case["spans"])
        part = sums[bool(case.get("held_out"))]
        for name, which in (("right", found & labelled), ("wrong", found - labelled), ("missed", labelled - found)):
            part[name].update(kind for kind, _ in which.elements())
    look_alikes = sum(not case["spans"] for case in cases)
    print(f"{len(cases)} labelled cases, {look_alikes} of them look-alikes; precision / recall (right, wrong, missed)")
    print(f"{'kind':16s} {'tuned on':34s} held out")
    for kind in ["all", *sorted({kind for part in sums.values() for counts in part.values() for kind in counts})]:
        print(f"{kind:16s} " + " ".join(f"{_accuracy(part, kind):34s}" for part in sums.values()).rstrip())


def _accuracy(part: dict[str, Counter[str]], kind: str) -> str:
    right, wrong, missed = (
        part[name].total() if kind == "all" else part[name][kind] for name in ("right", "wrong", "missed")
    )
    precision = f"{right / (right + wrong):.3f}" if right + wrong else "  -  "
    recall = f"{right / (right + missed):.3f}" if right + missed else "  -  "
    return f"{precision} / {recall} ({right}, {wrong}, {missed})"


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], float(sys.argv[2]))))
        return
    print_accuracy()
    for share in SHARES:
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "plain re": []}
        for _ in range(ROUNDS):  # in turn, so that a slow phase of the machine meets both
            for name in runs:
                runs[name].append(_in_a_process(name, share))
        print(f"\n{share:.0%} of {ROWS:,} rows with a secret ({runs['ours'][0]['planted']} planted)")
        medians = {name: statistics.median(run["seconds"] for run in each) for name, each in runs.items()}
        for name, each in runs.items():
            taken = [run["seconds"] for run in each]
            print(
                f"{name:9s} {medians[name]:6.2f} CPU-s ({min(taken):.2f} to {max(taken):.2f}),"
                f" {medians[name] / each[0]['kib'] * 1e6:6.1f} us per KiB,"
                f" {each[0]['left']} planted secrets left, {each[0]['others_changed']} other rows changed"
            )
        print(f"ratio     {medians['plain re'] / medians['ours']:.1f} x")
        if any(run["left"] for each in runs.values() for run in each):
            raise SystemExit("A planted secret is still there, so the two do not do the same work: mend the patterns.")


if __name__ == "__main__":
    main()

"""Text to generate interactions from: sentences in several languages, code, look-alikes, and made-up secrets.

A sentence is a beginning and an end, each out of a pool of some hundred thousand, so that two rows share a whole
sentence by chance only once in billions. Words follow a Zipf law, as those of languages do; numbers, file names and
identifiers are new in each row, so that no cache of words can ever hold all of them.
"""

import random
import string
from collections.abc import Callable

import numpy as np

FUNCTION_WORDS = {
    "en": "the of and to in a is that for it as was with be by on not this are or from at which but have an they you "
    "one all we can has would more if will about when up out do what so how could than other into its then only over",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er "
    "hat dass sie nach wird bei einer um am sind noch wie einem über so zum war haben nur oder aber vor zur bis",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu "
    "sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec ou son "
    "aux comme mais nous elle cette ont sa été fait leur même tout être deux entre après où très sans",
}
SYLLABLES = {
    "en": "ra ti on mer ken lo vis ter al pre con dex mu si fer qua bel ost ing er ly net cor dal est par um ent tra",
    "de": "ge ver be schr ung keit heit lich ab an aus ein vor über tisch werk zeug land stra ße bür für wär mög nach",
    "pt": "ção ri ma des con te lha nha por tes ba ran çõ es mi to co per tra ser gui ná rio lu cam pos",
    "fr": "ment re dé par eau tion ré cou pré su lier é ter cha vou noi sse qua bre ille vil gra ton aux our",
}
SHARES = {"en": 0.80, "de": 0.06, "pt": 0.05, "fr": 0.05, "zh": 0.04}
HALF_SENTENCES = {"en": 150_000, "de": 30_000, "pt": 30_000, "fr": 30_000, "zh": 30_000}
VOCABULARY = 30_000


class Sentences:
    """Draws sentences. `draw` needs the index of a language, by the order of SHARES."""

    def __init__(self, seed: int):
        rng = np.random.default_rng([seed, 1])
        starts, ends, sizes = [], [], []
        for language in SHARES:
            for halves, makes in ((starts, _start), (ends, _end)):
                halves += _halves(language, rng, makes)
            sizes.append(HALF_SENTENCES[language])
        self._starts, self._ends = np.array(starts, dtype=object), np.array(ends, dtype=object)
        self._sizes = np.array(sizes)
        self._first = np.cumsum([0, *sizes[:-1]])

    def draw(self, rng: np.random.Generator, languages: np.ndarray, most: int) -> list[list[str]]:
        """`most` sentences in the language of each row."""
        first, size = self._first[languages][:, None], self._sizes[languages][:, None]
        shape = (len(languages), most)
        start = self._starts[first + (rng.random(shape) * size).astype(np.int64)]
        return (start + self._ends[first + (rng.random(shape) * size).astype(np.int64)]).tolist()


def _halves(language: str, rng: np.random.Generator, makes: Callable[[list[str], random.Random], str]) -> list[str]:
    count = HALF_SENTENCES[language]
    words = _vocabulary(language, rng)
    weights = 1 / np.arange(1, len(words) + 1) ** 0.95
    lengths = rng.integers(4, 9, count)
    drawn = words[np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(lengths.sum()), "right")].tolist()
    plain = random.Random(int(rng.integers(1 << 60)))
    ends = np.cumsum(lengths).tolist()
    joiner = "" if language == "zh" else " "
    parts = (drawn[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True))
    return [makes([joiner.join(part)], plain) for part in parts]


def _start(words: list[str], rng: random.Random) -> str:
    text = words[0]
    return text[0].upper() + text[1:] + rng.choice((" ", " ", " ", ", ", " – " if rng.random() < 0.1 else " "))


def _end(words: list[str], rng: random.Random) -> str:
    oddity = rng.choice(("“naïve”", "½", "🙂", "e\u0301tude", "ﬁne", "x\u00a0y")) + " " if rng.random() < 0.01 else ""
    return oddity + words[0] + rng.choice(".....?!")


def _vocabulary(language: str, rng: np.random.Generator) -> np.ndarray:
    plain = random.Random(int(rng.integers(1 << 60)))
    if language == "zh":
        lengths = plain.choices((1, 2, 2), k=VOCABULARY)
        words = ["".join(chr(plain.randrange(0x4E00, 0x6E00)) for _ in range(length)) for length in lengths]
    else:
        syllables = SYLLABLES[language].split()
        made = ("".join(plain.choices(syllables, k=plain.choice((2, 2, 3, 3, 4)))) for _ in range(VOCABULARY))
        words = [*FUNCTION_WORDS[language].split(), *made]
    return np.array(list(dict.fromkeys(words)), dtype=object)


# ---- what stands between the sentences -------------------------------------------------------------------------------
LETTERS = string.ascii_letters + string.digits


def code(rng: random.Random) -> str:
    """A small Python block with names and numbers of its own."""
    name = "".join(rng.choices(string.ascii_lowercase, k=7))
    return (
        f"```python\ndef {name}_rows(x: list[int], n: int = {rng.randrange(100)}) -> int:\n"
        f"    {name} = [i * {rng.randrange(2, 99)} for i in x[1:n]]\n"
        f"    return sum({name}) + {rng.randrange(10_000)}\n```"
    )


def look_alike(rng: random.Random) -> str:
    """What must not be masked: a UUID, a commit, a version, an arithmetic line, a moment, an order number."""
    digits = str(rng.randrange(10**11, 10**12))
    number = rng.getrandbits(160)
    return rng.choice(
        (
            f"request {number:040x}"[:16] + f"-{number >> 100:08x}"[:12],
            f"commit {number:040x}",
            f"requires numpy=={rng.randrange(1, 4)}.{rng.randrange(30)}.{rng.randrange(9)}",
            f"{digits[:3]} - {digits[3:6]} = {int(digits[:3]) - int(digits[3:6])}",
            f"at 2025-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T10:{digits[:1]}0:00",
            f"order number {digits}",
        )
    )


def secret(rng: random.Random) -> tuple[str, str, str]:
    """A made-up secret or piece of personal data: its kind, the text around it, and the secret in the text."""
    kind = rng.choice(KINDS)
    around, value = SECRETS[kind](rng)
    return kind, around.format(value), value


def _some(rng: random.Random, characters: str, length: int) -> str:
    return "".join(rng.choices(characters, k=length))


def _name(rng: random.Random) -> str:
    return _some(rng, string.ascii_lowercase, rng.randrange(4, 9))


def _email(rng: random.Random) -> tuple[str, str]:
    top = rng.choice(("com", "org", "co.uk", "io", "de"))
    return "my email is {}", f"{_name(rng)}.{_name(rng)}{rng.randrange(1, 99)}@{_name(rng)}.{top}"


def _phone(rng: random.Random) -> tuple[str, str]:
    last, area = f"{rng.randrange(10_000):04d}", rng.randrange(201, 990)
    spellings = (f"+1 ({area}) {area}-{last}", f"+44 20 7946 {last}", f"+49 171 234{last}", f"({area}) 555-{last}")
    return "call me at {}", rng.choice(spellings)


def _ipv4(rng: random.Random) -> tuple[str, str]:
    octets = (rng.randrange(11, 126), rng.randrange(256), rng.randrange(256), rng.randrange(1, 255))
    return "the host is {}", ".".join(map(str, octets))


def _ipv6(rng: random.Random) -> tuple[str, str]:
    return "it answers on {}", "2001:db8:" + ":".join(f"{rng.randrange(4096, 65536):x}" for _ in range(6))


def _card(rng: random.Random) -> tuple[str, str]:
    digits = "4" + _some(rng, string.digits, 14)
    doubled = sum(sum(divmod(int(d) * (2 if i % 2 == 0 else 1), 10)) for i, d in enumerate(reversed(digits)))
    digits += str(-doubled % 10)
    return "the card is {}", " ".join(digits[i : i + 4] for i in range(0, 16, 4))


def _iban(rng: random.Random) -> tuple[str, str]:
    account = _some(rng, string.digits, 18)
    check = 98 - int(account + "131400") % 97  # D is 13, E is 14
    compact = f"DE{check:02d}{account}"
    return "pay to {}", " ".join(compact[i : i + 4] for i in range(0, 22, 4))


def _jwt(rng: random.Random) -> tuple[str, str]:
    parts = _some(rng, LETTERS, 30), _some(rng, LETTERS, 60), _some(rng, LETTERS + "-_", 43)
    return "session {}", f"eyJhbGci{parts[0]}.eyJzdWIi{parts[1]}.{parts[2]}"


def _private_key(rng: random.Random) -> tuple[str, str]:
    body = "\n".join(_some(rng, LETTERS + "+/", 64) for _ in range(4))
    return "this is what I use:\n{}\n", f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"


def _url(rng: random.Random) -> tuple[str, str]:
    host = f"db.{_name(rng)}.internal:5432/prod"
    return "connect with postgres://{}@" + host, f"{_name(rng)}:{_some(rng, LETTERS, 10)}7q"


def _prefixed(around: str, prefix: str, characters: str, length: int) -> Callable[[random.Random], tuple[str, str]]:
    return lambda rng: (around, prefix + _some(rng, characters, length - 2) + "a7")


SECRETS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "EMAIL": _email,
    "PHONE": _phone,
    "IPV4": _ipv4,
    "IPV6": _ipv6,
    "CARD": _card,
    "IBAN": _iban,
    "JWT": _jwt,
    "PRIVATE_KEY": _private_key,
    "URL_CREDENTIALS": _url,
    "AWS_KEY": lambda rng: ("the key is {}", "AKIA" + _some(rng, string.ascii_uppercase + "234567", 16)),
    "GITHUB_TOKEN": _prefixed("token {}", "ghp_", LETTERS, 36),
    "SLACK_TOKEN": _prefixed("the bot's {}", "xoxb-", LETTERS, 40),
    "OPENAI_KEY": _prefixed("with {}", "sk-proj-", LETTERS, 40),
    "GOOGLE_KEY": _prefixed("maps key {}", "AIza", LETTERS, 35),
}
KINDS = [*["EMAIL"] * 6, *["PHONE"] * 4, *["IPV4"] * 3, *SECRETS]

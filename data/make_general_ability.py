"""Writes data/general_ability.jsonl: 250 short questions of general ability that no model line is about.

    python data/make_general_ability.py

They show what an adapter forgot: each is asked of the base, too. The script makes them from its own word lists and a
seed; no text was copied. The file is frozen: ft_assets/evaluation/general_ability.py names its SHA-256, and other
content is refused. A change here is a new suite, and every figure measured on the old one ends with it.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _words(text: str) -> list[str]:
    return text.split()


FILE = Path(__file__).resolve().parent / "general_ability.jsonl"
WORDS = _words(
    "anchor basket candle desert engine feather garden hammer island jacket kettle ladder magnet needle "
    "orange pencil quarry ribbon saddle tunnel umbrella valley window yellow zipper bridge copper dragon "
    "forest guitar"
)
NAMES = _words("Ada Boris Clara Dmitri Elena Farid Greta Hugo Ines Jonas Kira Luis Mona Nils Olga Pavel")
CITIES = _words("Lisbon Oslo Cairo Lima Quito Tunis Riga Seoul Hanoi Dakar")
NUMBER_WORDS = _words("zero one two three four five six seven eight nine ten eleven twelve")

FACTS = [
    ("What is the capital of France?", "Paris"),
    ("What is the capital of Japan?", "Tokyo"),
    ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Egypt?", "Cairo"),
    ("What is the capital of Canada?", "Ottawa"),
    ("On which continent does Kenya lie?", "Africa"),
    ("On which continent does Peru lie?", "South America"),
    ("Which ocean lies between Europe and North America?", "Atlantic"),
    ("Which planet is closest to the Sun?", "Mercury"),
    ("Which planet of the Solar System is the largest?", "Jupiter"),
    ("What is the chemical symbol of gold?", "Au"),
    ("What is the chemical symbol of iron?", "Fe"),
    ("Which gas do people need to breathe?", "oxygen"),
    ("What does water become when it freezes?", "ice"),
    ("At how many degrees Celsius does water boil at sea level?", "100"),
    ("How many legs does a spider have?", "8"),
    ("How many legs does an insect have?", "6"),
    ("How many days does a leap year have?", "366"),
    ("How many hours does a day have?", "24"),
    ("How many minutes does an hour have?", "60"),
    ("How many months have 31 days?", "7"),
    ("How many sides does a hexagon have?", "6"),
    ("How many degrees do the angles of a triangle add up to?", "180"),
    ("How many bits does a byte have?", "8"),
    ("Which month comes after February?", "March"),
    ("Which day comes before Friday?", "Thursday"),
    ("Which season follows winter?", "spring"),
    ("What colour do blue and yellow paint make?", "green"),
    ("What is the opposite of hot?", "cold"),
    ("What is the opposite of early?", "late"),
    ("What is the plural of child?", "children"),
    ("What is the past tense of go?", "went"),
    ("What do bees make?", "honey"),
    ("What is a young cat called?", "kitten"),
    ("What is a young dog called?", "puppy"),
    ("Which organ pumps blood through the body?", "heart"),
    ("Which star does the Earth go around?", "Sun"),
    ("In which country do the pyramids of Giza stand?", "Egypt"),
    ("What is the square root of 81?", "9"),
    ("What is half of one hundred?", "50"),
]
THINGS = {
    "animal": _words("horse rabbit eagle salmon tiger sheep otter camel"),
    "tool": _words("hammer saw screwdriver wrench drill chisel pliers axe"),
    "fruit": _words("apple banana cherry grape lemon mango peach plum"),
}


def rows() -> Iterator[dict[str, Any]]:
    """Every row of the file, in its order."""
    for task, make, count in (
        ("arithmetic", arithmetic, 50),
        ("copying", copying, 40),
        ("reasoning", reasoning, 40),
        ("facts", fact, 40),
        ("instructions", instruction, 40),
        ("classification", classification, 24),
        ("structured_output", structured, 16),
    ):
        draw = random.Random(f"general ability, {task}")
        asked: set[str] = set()
        while len(asked) < count:
            row = make(draw, len(asked))
            if row["input"] not in asked:
                asked.add(row["input"])
                name = f"general-{task}-{len(asked):03d}"
                yield {"id": name, "cluster_id": name, "task_type": task, "slice": task, **row}


def arithmetic(draw: random.Random, number: int) -> dict[str, Any]:
    if number % 5 == 4:
        price, count = draw.randint(2, 12), draw.randint(2, 9)
        thing = draw.choice(WORDS)
        text = f"One {thing} costs {price} coins. How many coins do {count} of them cost? Answer with the number."
        return {"input": text, "output": str(price * count), "difficulty": "hard"}
    sign = "+-*"[number % 3]
    one, two = (
        (draw.randint(2, 12), draw.randint(2, 12)) if sign == "*" else (draw.randint(10, 99), draw.randint(2, 60))
    )
    one, two = (max(one, two), min(one, two)) if sign == "-" else (one, two)
    result = {"+": one + two, "-": one - two, "*": one * two}[sign]
    return {
        "input": f"What is {one} {sign} {two}? Answer with the number.",
        "output": str(result),
        "difficulty": "easy",
    }


def copying(draw: random.Random, number: int) -> dict[str, Any]:
    words = draw.sample(WORDS, 2 + number % 5)
    if number % 4 == 3:
        return {
            "input": f"Write these words in reverse order: {' '.join(words)}",
            "output": " ".join(reversed(words)),
            "difficulty": "hard",
        }
    return {"input": f"Repeat exactly: {' '.join(words)}", "output": " ".join(words), "difficulty": "easy"}


def reasoning(draw: random.Random, number: int) -> dict[str, Any]:
    one, two, three = draw.sample(NAMES, 3)
    kind = number % 4
    if kind == 0:
        question, answer = draw.choice([("tallest", one), ("shortest", three)])
        text = f"{one} is taller than {two}. {two} is taller than {three}. Who is the {question}? Answer with the name."
        return {"input": text, "output": answer, "difficulty": "hard"}
    if kind == 1:
        low, high = sorted(draw.sample(range(10, 999), 2))
        larger = draw.random() < 0.5
        first, second = draw.sample([low, high], 2)
        text = f"Which number is {'larger' if larger else 'smaller'}, {first} or {second}? Answer with the number."
        return {"input": text, "output": str(high if larger else low), "difficulty": "easy"}
    if kind == 2:
        start, step = draw.randint(1, 20), draw.randint(2, 9)
        shown = ", ".join(str(start + step * i) for i in range(4))
        text = f"Which number comes next: {shown}? Answer with the number."
        return {"input": text, "output": str(start + 4 * step), "difficulty": "hard"}
    place, other = draw.sample(CITIES, 2)
    asked, where = draw.choice([(one, place), (two, other)])
    text = f"{one} lives in {place}. {two} lives in {other}. Where does {asked} live? Answer with the city."
    return {"input": text, "output": where, "difficulty": "easy"}


def fact(draw: random.Random, number: int) -> dict[str, Any]:
    question, answer = FACTS[number]
    return {"input": f"{question} Answer in as few words as possible.", "output": answer, "difficulty": "easy"}


def instruction(draw: random.Random, number: int) -> dict[str, Any]:
    word = draw.choice(WORDS)
    times, value = draw.randint(2, 5), draw.randint(0, 12)
    numbers = draw.sample(range(10, 99), 4)
    text, answer, difficulty = [
        (f"Write the word {word} in capital letters.", word.upper(), "easy"),
        (
            f"Write {word} {NUMBER_WORDS[times]} times, separated by a comma and a space.",
            ", ".join([word] * times),
            "hard",
        ),
        (f"What is the first letter of {word}? Answer with the letter.", word[0], "easy"),
        (f"How many letters does {word} have? Answer with the number.", str(len(word)), "hard"),
        (f"Sort from small to large: {' '.join(map(str, numbers))}", " ".join(map(str, sorted(numbers))), "hard"),
        (f"Write the number {value} as a word.", NUMBER_WORDS[value], "easy"),
        (f"Put the word {word} into square brackets.", f"[{word}]", "easy"),
        (f"What is the last letter of {word}? Answer with the letter.", word[-1], "hard"),
    ][number % 8]
    return {"input": text, "output": answer, "difficulty": difficulty}


def classification(draw: random.Random, number: int) -> dict[str, Any]:
    if number % 2:
        value = draw.randint(10, 999)
        labels, text = ["even", "odd"], f"Is {value} even or odd? Answer with one word."
        return {"input": text, "output": labels[value % 2], "labels": labels, "difficulty": "easy"}
    kind = draw.choice(sorted(THINGS))
    thing = draw.choice(THINGS[kind])
    text = f"Is {thing} an animal, a tool or a fruit? Answer with one word."
    return {"input": text, "output": kind, "labels": sorted(THINGS), "difficulty": "easy"}


def structured(draw: random.Random, number: int) -> dict[str, Any]:
    name, age, city = draw.choice(NAMES), draw.randint(18, 80), draw.choice(CITIES)
    person: dict[str, Any] = {"name": name, "age": age}
    text = f"Write a JSON object with the keys name and age: {name} is {age} years old."
    if number % 2:
        person["city"] = city
        text = f"Write a JSON object with the keys name, age and city: {name}, {age}, lives in {city}."
    schema = {
        "type": "object",
        "properties": {key: {"type": "integer" if key == "age" else "string"} for key in person},
        "required": list(person),
        "additionalProperties": False,
    }
    difficulty = "hard" if number % 2 else "easy"
    return {"input": text, "output": json.dumps(person), "json_schema": schema, "difficulty": difficulty}


def text_of_the_file() -> str:
    """The content of the file."""
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows())


if __name__ == "__main__":
    FILE.write_text(text_of_the_file(), encoding="ascii")
    print(f"{FILE}: {text_of_the_file().count(chr(10))} rows")

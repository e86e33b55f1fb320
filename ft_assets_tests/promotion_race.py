"""Processes that promote models of one line against each other, for the tests of `State.promote`.

Run as a program: the racers are forked from a process without threads. Prints one JSON document.
`python -m ft_assets_tests.promotion_race rounds URL RACERS ROUNDS`: all racers start each round together.
`python -m ft_assets_tests.promotion_race killed URL RACERS KILLS`: racers are killed at any point of their work.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from typing import Any

from ft_assets.errors import StaleChampion
from ft_assets.state import State

LINE = "qa-engineer"
FORK = multiprocessing.get_context("fork")


def attempt(state: State, model: str, over: str | None) -> str:
    """ "" when the model became champion, otherwise the refusal."""
    try:
        state.promote(LINE, model, over, by=f"process {os.getpid()}", why="better", evidence=f"report of {model}")
    except StaleChampion as refusal:
        return str(refusal)
    return ""


def rounds(url: str, racers: int, count: int) -> list[dict[str, Any]]:
    """Per racer and round: round, model, refusal."""
    together, results = FORK.Barrier(racers, timeout=300), FORK.Queue()

    def race(racer: int) -> None:
        state = State(url)
        found = []
        for number in range(count):
            champion = state.champion(LINE)
            model = f"model-{number}-{racer}"
            together.wait()  # nobody promotes before everybody has looked
            refusal = attempt(state, model, champion.model_digest if champion else None)
            together.wait()
            found.append({"round": number, "model": model, "refusal": refusal})
        results.put(found)

    processes = [FORK.Process(target=race, args=(racer,)) for racer in range(racers)]
    for process in processes:
        process.start()
    told = [entry for _ in processes for entry in results.get(timeout=900)]
    for process in processes:
        process.join()
    return told


def killed(url: str, racers: int, kills: int) -> list[str]:
    """The models whose racer was told that they became champion, before or after which it may have been killed."""
    chance = random.Random(0)
    reading, writing = os.pipe()
    started = 0

    def race(racer: int) -> None:
        state = State(url)
        for number in range(100_000):
            champion, model = state.champion(LINE), f"model-{racer}-{number}"
            if not attempt(state, model, champion.model_digest if champion else None):
                os.write(writing, f"{model}\n".encode())

    def start() -> Any:
        nonlocal started
        started += 1
        process = FORK.Process(target=race, args=(started,), daemon=True)
        process.start()
        return process

    running = [start() for _ in range(racers)]
    said = b""
    for _ in range(kills):
        said += os.read(reading, 4096)  # somebody became champion since the last kill, however slow this machine is
        time.sleep(chance.uniform(0.005, 0.08))
        victim = running.pop(chance.randrange(len(running)))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        running.append(start())
    for process in running:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    os.close(writing)
    with os.fdopen(reading, "rb") as acknowledged:
        return (said + acknowledged.read()).decode().splitlines()


if __name__ == "__main__":
    how, url, racers, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    State(url).champion(LINE)  # the tables are there, and everything is imported, before anybody is forked
    print(json.dumps({"rounds": rounds, "killed": killed}[how](url, racers, count)))

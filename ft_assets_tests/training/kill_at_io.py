"""Kills a process at a chosen I/O call of a save, with strace, or at a chosen request to S3. Run as a script it saves.

The files stand in for a trainer's; sealing, renaming, copying and pruning are the real code. No torch, so that a
hundred deaths take seconds.
"""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ft_assets.training.checkpoint_s3 import S3Checkpoints, checkpoint_store
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints

TRAINING = "7" * 64
FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
CALLS = ("openat", "write", "fsync", "rename", "mkdir", "unlink", "unlinkat", "rmdir")
BEGIN, END = "the-save-begins", "the-save-ends"  # files that are not there: opening them marks the strace log
CALL = re.compile(r"(?:\d+ +)?(\w+)\(")
BEST_STEP, OLD_STEP, NEW_STEP = 10, 30, 40


def content_of(name: str, step: int) -> bytes:
    """What a stand-in file holds: bytes that tell name and step apart."""
    return f"{name} at {step}\n".encode() * 500


def write_stand_in(stage: Path, step: int) -> None:
    """What a trainer writes at a save, small, several writes a file."""
    stage.mkdir(parents=True)
    for name in FILES:
        with (stage / name).open("wb", buffering=0) as file:
            content = content_of(name, step)
            file.write(content[:4096])
            file.write(content[4096:])
    (stage / "trainer_state.json").write_text(f'{{"global_step": {step}}}')


def save(saver: CheckpointSaver, step: int, best_step: int = BEST_STEP, is_last: bool = False) -> bool:
    """Whether a stand-in checkpoint was sealed."""
    return saver.save(step, best_step, lambda stage: write_stand_in(stage, step), is_last=is_last) is not None


def local_saver(work_dir: Path) -> CheckpointSaver:
    return CheckpointSaver(LocalCheckpoints(work_dir, TRAINING))


def s3_saver(url: str, work_dir: Path) -> CheckpointSaver:
    return CheckpointSaver(checkpoint_store(url, work_dir, TRAINING), keep_last=1)


def why_no_strace() -> str | None:
    """Why calls cannot be cut off on this machine; None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian package: strace)"
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True)
    return "strace may not trace here (ptrace is forbidden)" if tried.returncode else None


@dataclass(frozen=True)
class Point:
    """The k-th call of that name in a process's life."""

    call: str
    when: int


def points_of_a_save(work_dir: Path) -> list[Point]:
    """Every I/O call that one save makes, from the log of a save that nobody kills."""
    log = work_dir.parent / "calls.log"
    _traced(work_dir, "-e", f"trace={','.join(CALLS)}", "-o", str(log))
    seen: Counter[str] = Counter()
    points, inside = [], False
    for line in log.read_text(errors="replace").splitlines():
        if not (found := CALL.match(line)):
            continue
        seen[found[1]] += 1
        if BEGIN in line or END in line:
            inside = BEGIN in line
        elif inside:
            points.append(Point(found[1], seen[found[1]]))
    return points


def killed_at(point: Point, work_dir: Path) -> bool:
    """Saves in another process, which is killed at that call; whether it was."""
    return (
        _traced(
            work_dir, "-e", f"trace={point.call}", "-e", f"inject={point.call}:signal=KILL:when={point.when}"
        ).returncode
        != 0
    )


def failed_at(point: Point, work_dir: Path, error: str) -> bool:
    """Saves in another process, whose call fails with that error name; whether the process lived to say so."""
    done = _traced(work_dir, "-e", f"trace={point.call}", "-e", f"inject={point.call}:error={error}:when={point.when}")
    return done.returncode == 0 and b"failed" in done.stdout


def _traced(work_dir: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    output = () if "-o" in options else ("-o", os.devnull)
    command = ["strace", "-f", *output, *options, sys.executable, __file__, "local", str(work_dir)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    return subprocess.run(command, capture_output=True, env=environment, timeout=60)


def killed_at_requests(url: str, work_dir: Path) -> int:
    """Saves to S3, once for every request of a save and either side of it, each under a prefix and a node of its own.

    Prefix <url>/<n> and directory <work_dir>/<n> belong to the n-th death; returns how many there were. One process
    loads boto3 and is forked, because loading it costs more than a save.
    """
    command = [sys.executable, __file__, "s3", url, str(work_dir)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120)
    return int(done.stdout)


def _save_locally(work_dir: Path) -> None:
    saver = local_saver(work_dir)
    saver.resume()
    _mark(BEGIN)
    saved = save(saver, NEW_STEP)
    _mark(END)
    print("saved" if saved else "failed")


def _mark(name: str) -> None:
    try:
        os.open(name, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _die_at_every_request(url: str, work_dir: Path) -> None:
    deaths = 0
    for event in ("before-send.s3", "response-received.s3"):
        request = 1
        while _dies(f"{url}/{deaths}", work_dir / str(deaths), event, request):
            request, deaths = request + 1, deaths + 1
    print(deaths)


def _dies(url: str, work_dir: Path, event: str, at: int) -> bool:
    child = os.fork()
    if child == 0:
        saver = s3_saver(url, work_dir)
        if not save(saver, OLD_STEP, OLD_STEP):
            os._exit(3)
        _kill_at(saver, event, at)
        save(saver, NEW_STEP, NEW_STEP)  # the new best: the old one is removed
        os._exit(0 if saver.failures_in_a_row == 0 else 4)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"the save that was to be killed failed by itself: {os.WEXITSTATUS(status)}")
    return os.WIFSIGNALED(status)


def _kill_at(saver: CheckpointSaver, event: str, at: int) -> None:
    store = saver.store
    assert isinstance(store, S3Checkpoints)
    requests = 0

    def count(**_: object) -> None:
        nonlocal requests
        requests += 1
        if requests == at:
            os.kill(os.getpid(), signal.SIGKILL)

    store.folders.client.meta.events.register(event, count)


if __name__ == "__main__":
    if sys.argv[1] == "local":
        _save_locally(Path(sys.argv[2]))
    else:
        _die_at_every_request(sys.argv[2], Path(sys.argv[3]))

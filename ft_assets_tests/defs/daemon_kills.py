"""`dagster-daemon run`, killed at a named point of a tick. Run as a script it is that daemon.

The daemon, its instance on disk and the code server are the real ones. Only the moment of death is chosen: the process
sends itself SIGKILL where Dagster's own crash tests do, so nothing of it can clean up.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

SENSOR = "new_high_score_samples"
# In the order in which a tick that asks for a run passes them.
POINTS = ("evaluated", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED", "closing")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Installation:
    """An instance, a lake and a state database under one folder; runs that are asked for stay in the queue."""

    folder: Path
    environment: Mapping[str, str]
    _started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def write(self) -> None:
        """The instance as it ships, except that no run leaves the queue: what counts is how many there are."""
        home = self.folder / "dagster"
        home.mkdir()
        shipped = yaml.safe_load((ROOT / "dagster.yaml").read_text())
        shipped["concurrency"]["runs"]["max_concurrent_runs"] = 0
        (home / "dagster.yaml").write_text(yaml.safe_dump(shipped))

    def code_server(self) -> "subprocess.Popen[bytes]":
        """A code server that outlives daemons; the workspace names it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = {"host": "127.0.0.1", "port": port, "location_name": "ft_assets"}
        (self.folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        command = ["-m", "dagster", "api", "grpc", "-m", "ft_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
        process = self._start(*command)
        until(lambda: _listens(port), "the code server does not listen")
        return process

    def daemon(self, killed_at: str = "") -> "subprocess.Popen[bytes]":
        """The daemon; it dies at that point, or lives until somebody kills it."""
        return self._start(str(Path(__file__)), killed_at, "run", "-w", str(self.folder / "workspace.yaml"))

    def stop(self) -> None:
        """Ends what is left."""
        for process in self._started:
            process.kill()
            process.wait()

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "output.log").open("ab") as log:
            environment = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, *arguments]
            # Not in the project: Dagster reads a file .env where it starts, and that one names another instance.
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        self._started.append(process)
        return process


def until(holds, otherwise: str, seconds: float = 120) -> None:
    """Waits until something holds, and fails with `otherwise` if it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _kill_at(point: str) -> None:
    """Makes this process die when the sensor's tick comes to the point."""
    from dagster._daemon import sensor

    context = sensor.SensorLaunchContext
    reserve, close, crash = context.set_run_requests, context.update_state, sensor.check_for_debug_crash

    def ours(tick: sensor.SensorLaunchContext) -> bool:
        return tick._remote_sensor.name == SENSOR

    def set_run_requests(self, *arguments, **named):
        if point == "evaluated" and ours(self):
            _die()
        return reserve(self, *arguments, **named)

    def update_state(self, *arguments, **named):
        if point == "closing" and ours(self) and self.tick.reserved_run_ids_with_requests:
            _die()
        return close(self, *arguments, **named)

    def check_for_debug_crash(flags, key):
        if key == point:  # only a tick that asks for runs comes to these points, and no other sensor does here
            _die()
        return crash(flags, key)

    context.set_run_requests, context.update_state = set_run_requests, update_state
    sensor.check_for_debug_crash = check_for_debug_crash


if __name__ == "__main__":
    from dagster._daemon.cli import main

    if sys.argv[1]:
        _kill_at(sys.argv[1])
    sys.argv = ["dagster-daemon", *sys.argv[2:]]
    main()

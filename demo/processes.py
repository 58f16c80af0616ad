# SPDX-License-Identifier: Apache-2.0
"""Child processes, each with its own session and log, so that nothing that one starts outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

GRACE_SECONDS = 5.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05
_PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


@dataclasses.dataclass
class Component:
    """
    One process, and all that it starts.

    :param kind: Its name, for people.
    :param command: The command line.
    :param environment: Its whole environment.
    :param directory: Its working directory.
    :param log: The file to which its output is appended.
    """

    kind: str
    command: Sequence[str]
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    directory: Path
    log: Path
    _process: subprocess.Popen[bytes] | None = dataclasses.field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Start it without waiting for it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Airflow's tasks make process groups of their own, but stay in the session.
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code of the process itself, or None while it runs or was not started."""
        return None if self._process is None else self._process.poll()

    def members(self) -> list[psutil.Process]:
        """Return all its living processes: those of its session, and their descendants in other sessions."""
        return [process for process in self._members() if not _is_zombie(process)]

    def ask_to_end(self) -> None:
        """Send SIGTERM to all its processes; the scheduler alone would wait for its tasks."""
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)

    def ask_itself_to_end(self) -> None:
        """Send SIGTERM to the process itself, as a container's supervisor does; it ends what it started."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and everything that it started, as a power failure would."""
        deadline = time.monotonic() + _KILL_SECONDS
        # Repeated, since a process may fork while its siblings are looked up.
        while (members := self.members()) and time.monotonic() < deadline:
            for process in members:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(_POLL_SECONDS)
        self.reap()

    def reap(self) -> None:
        """Take the exit codes of processes that have ended, so that no zombie stays."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_SECONDS)
        for process in self._members():
            # They are this process's children only after adopt_orphans, otherwise init's.
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if process.ppid() == os.getpid():
                    os.waitpid(process.pid, os.WNOHANG)

    def _members(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        session = self._process.pid
        found: dict[int, psutil.Process] = {}
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(pid) == session:
                    found[pid] = psutil.Process(pid)
        for process in list(found.values()):
            with contextlib.suppress(psutil.Error):
                found.update((child.pid, child) for child in process.children(recursive=True))
        return list(found.values())


def end_all(components: Iterable[Component], grace: float = GRACE_SECONDS) -> None:
    """
    End components with everything that they started.

    :param components: What to end.
    :param grace: Seconds for a normal end, before the rest is killed.
    """
    left = ours = list(components)
    for component in ours:
        component.ask_to_end()
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        left = [c for c in left if c.exit_code is None or c.members()]
        time.sleep(_POLL_SECONDS if left else 0)
    for component in left:
        component.kill()
    for component in ours:
        component.reap()


def adopt_orphans() -> None:
    """
    Become the parent of processes that the components leave behind (on Linux).

    In a container there may be no other process that takes their exit codes, and they would stay as zombies.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tail_of(log: Path, lines: int = 30) -> str:
    """
    Return the end of a log file, for a person.

    :param log: Plain text, or JSON lines as Airflow's tasks write them.
    :param lines: How many lines.
    """
    try:
        text = log.read_text(errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(line for entry in text.splitlines()[-lines:] for line in _readable(entry))


def _readable(line: str) -> list[str]:
    try:
        entry = json.loads(line)
        said = f"{entry['timestamp']} {str(entry.get('level', '')).upper()} {entry['event']}"
    except (ValueError, KeyError, TypeError):
        return [line]
    errors = entry.get("error_detail") or []
    return [said, *(f"    {error.get('exc_type')}: {error.get('exc_value')}" for error in errors)]


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True

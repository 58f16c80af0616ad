# SPDX-License-Identifier: Apache-2.0
"""A real Airflow on this machine: each component is a process on 127.0.0.1, and none is left behind."""

from __future__ import annotations

import base64
import itertools
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar
from urllib.error import URLError

from demo.processes import Component, end_all
from demo.rest_api import AirflowFailed, RestApi

HOST = "127.0.0.1"
USER = "demo"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
START_SECONDS = 180
_POLL_SECONDS = 0.2
_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_LOCK_SECONDS = 30
# Variables of the user that must not matter here: those of another Airflow, AWS credentials, proxies.
_FOREIGN = ("AIRFLOW", "AWS_", "BOTO", "PYTHON", "_AIRFLOW")
# Without these, a second component of a kind would want the first one's port; logs are read from disk.
_ARGUMENTS = {"scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}
# As the health page names them.
_HEALTH_NAMES = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


class LocalAirflow:
    """
    Run an Airflow of its own; use it as a context manager, or call :meth:`start` and :meth:`stop`.

    :param home: The directory for everything that Airflow writes; made if missing.
    :param dags: The directory with the DAG files.
    :param components: What to run: names of Airflow's commands. A name that occurs twice makes two of a kind.
        At most one is an api-server.
    :param environment: Environment variables that override the defaults; for another executor, say.
    :param preloaded: Modules that Airflow's workers import before they fork, so that no task has to.
    :param arguments: More arguments of a component's command, by its name; ``{number}`` in them is 1 for
        the first of a kind, 2 for the second.
    :param supervised: Components that are started again if they end by themselves, at most ``MOST_REVIVALS``
        times in all. If any other component ends, that is a failure.
    :param on_wait: Called several times a second while waiting; an exception from it ends the wait.
    """

    MOST_REVIVALS: ClassVar[int] = 5

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        components: Sequence[str] = COMPONENTS,
        environment: Mapping[str, str] | None = None,
        preloaded: Iterable[str] = (),
        arguments: Mapping[str, Iterable[str]] | None = None,
        supervised: Iterable[str] = (),
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.home = home
        self.logs = home / "component-logs"
        self.password = secrets.token_urlsafe(16)
        self.port = free_port()
        self.api = RestApi(self.url, USER, self.password)
        self.environment = self._environment(dags, dict(environment or {}))
        self.components: list[Component] = []
        #: Those that were asked to end, and still run or are still to be forgotten.
        self.leaving: list[Component] = []
        self._names = tuple(components)
        self._preloaded = tuple(preloaded)
        self._arguments = {name: tuple(more) for name, more in (arguments or {}).items()}
        self._on_wait = on_wait
        self._supervised = frozenset(supervised)
        #: One line for each component that ended by itself and was started again.
        self.revivals: list[str] = []
        self._revivals_that_count = 0
        self._ends_expected_until = 0.0

    @property
    def url(self) -> str:
        """Where the UI and the REST API are."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> LocalAirflow:
        """Make the database, start the components, and wait until all are healthy."""
        self.migrate()
        self.start_components()
        self.wait_until_healthy()
        return self

    def migrate(self) -> None:
        """Make the database, or bring it up to date."""
        self.logs.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.touch(0o600)
        passwords.write_text(json.dumps({USER: self.password}))
        settings = self.home / "config" / "airflow_local_settings.py"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text("".join(f"import {module}\n" for module in self._preloaded))
        self.run("db", "migrate")

    def start_components(self) -> None:
        """Start the components, and return at once."""
        for name in self._names:
            self.start_component(name)

    def start_component(self, name: str) -> Component:
        """
        Start one component, and return at once.

        :param name: Airflow's command, for instance ``triggerer``.
        """
        number = self._free_number(name)
        more = (argument.replace("{number}", str(number)) for argument in self._arguments.get(name, ()))
        arguments = (*_ARGUMENTS.get(name, ()), *more)
        environment = self.environment
        if name == "api-server":
            arguments = ("--host", HOST, "--port", str(self.port), *arguments)
        elif environment[_DATABASE].startswith("sqlite:"):
            # The server may hold the database for 5 s; see AirflowBusy. A scheduler that waits no longer than
            # that itself ends.
            environment = {**environment, _DATABASE: f"{environment[_DATABASE]}?timeout={_LOCK_SECONDS}"}
        component = Component(
            kind=name,
            log=self._component_log(name, number),
            command=[sys.executable, "-m", "airflow", *name.split(), *arguments],
            environment=environment,
            directory=self.home,
        )
        self.components.append(component)
        component.start()
        return component

    def run(self, *arguments: str, seconds: float = START_SECONDS) -> str:
        """
        Run one of Airflow's commands to its end, and return what it printed.

        :param arguments: The command, for instance ``"dags", "list"``.
        :param seconds: After which the command is killed.
        :raises AirflowFailed: It failed, or took too long.
        """
        command = Component(
            kind=" ".join(arguments[:2]),
            log=self.logs / f"{'-'.join(arguments[:2])}.log",
            command=[sys.executable, "-m", "airflow", *arguments],
            environment=self.environment,
            directory=self.home,
        )
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            command.start()
            self.wait_for(lambda: command.exit_code is not None, f"airflow {command.kind}", seconds)
        finally:
            end_all([command])
        if command.exit_code != 0:
            raise AirflowFailed(f"airflow {command.kind} exited with {command.exit_code}", command.log)
        return command.log.read_text(errors="replace")

    def wait_until_healthy(self, seconds: float = START_SECONDS) -> None:
        """
        Wait until the health page says that all the components work.

        :param seconds: How long to wait before this counts as a failure.
        :raises AirflowFailed: A component ended, or the time is over.
        """
        wanted = {_HEALTH_NAMES[name] for name in self._names if name in _HEALTH_NAMES}
        waiting = {"api-server"}

        def healthy() -> bool:
            nonlocal waiting
            try:
                health = self.api.call("GET", "/monitor/health", authorized=False)
            except (URLError, OSError):
                return False
            waiting = {name for name in wanted if (health.get(name) or {}).get("status") != "healthy"}
            return not waiting

        try:
            self.wait_for(healthy, "a healthy Airflow", seconds)
        except TimeoutError:
            late = sorted(waiting)[0].replace("_", "-")
            log = next((c.log for c in self.components if c.kind == late), None)
            message = f"Airflow was not healthy after {seconds:g} s; missing: {', '.join(sorted(waiting))}"
            raise AirflowFailed(message, log) from None

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """
        Wait until a condition holds.

        :param condition: Called several times a second.
        :param what: What the wait is for, in words.
        :param seconds: How long to wait before this counts as a failure.
        :raises AirflowFailed: A component ended meanwhile.
        :raises TimeoutError: The time is over.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.check_alive()
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no sign of {what} after {seconds:g} s")
            self._on_wait()
            time.sleep(_POLL_SECONDS)

    def check_alive(self) -> None:
        """
        Make sure that no component has ended; start it again if it is supervised.

        :raises AirflowFailed: One has ended.
        """
        for component in [component for component in self.components if component.exit_code is not None]:
            message = f"airflow {component.kind} ended with exit code {component.exit_code}"
            if time.monotonic() >= self._ends_expected_until:
                if component.kind not in self._supervised or self._revivals_that_count == self.MOST_REVIVALS:
                    raise AirflowFailed(message, component.log)
                self._revivals_that_count += 1
            self.revivals.append(message)
            self.kill(component)
            self.start_component(component.kind)

    def expect_ends(self, seconds: float) -> None:
        """
        For so long, start any component again that ends by itself: something was done that may end it.

        :param seconds: From now on.
        """
        self._ends_expected_until = max(self._ends_expected_until, time.monotonic() + seconds)

    def kill(self, component: Component) -> None:
        """Kill a component with everything that it started, and forget it."""
        (self.leaving if component in self.leaving else self.components).remove(component)
        component.kill()

    def begin_to_end(self, component: Component) -> None:
        """Ask a component to end, and return at once; :meth:`kill` it when it has, or when time is over."""
        self.components.remove(component)
        self.leaving.append(component)
        component.ask_itself_to_end()

    def stop(self) -> None:
        """End all components, with everything that they started."""
        components = self.components + self.leaving
        self.components, self.leaving = [], []
        # If the api-server went first, a task that still runs would call it again and again.
        end_all(component for component in components if component.kind != "api-server")
        # It takes 3 s to end by itself, and has nothing to lose.
        end_all((component for component in components if component.kind == "api-server"), grace=1)

    def task_log(self, dag_id: str, run_id: str, task_id: str) -> Path | None:
        """Return the newest log file of a task, or None if it has none."""
        return next(reversed(self.task_logs(dag_id, run_id, task_id)), None)

    def task_logs(self, dag_id: str, run_id: str, task_id: str) -> list[Path]:
        """Return the log files of a task and of its triggers, the newest last."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
        logs = [path for path in folder.rglob("*.log") if f"task_id={task_id}" in str(path)]
        return sorted(logs, key=lambda path: path.stat().st_mtime)

    def __enter__(self) -> LocalAirflow:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _free_number(self, name: str) -> int:
        """Return the lowest number that no living component of a kind has."""
        taken = {component.log for component in (*self.components, *self.leaving)}
        return next(n for n in itertools.count(1) if self._component_log(name, n) not in taken)

    def _component_log(self, name: str, number: int) -> Path:
        return self.logs / f"{name.replace(' ', '-')}{'' if number == 1 else f'-{number}'}.log"

    def _environment(self, dags: Path, above: dict[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        no_proxy = ",".join(filter(None, (HOST, "localhost", os.environ.get("NO_PROXY"))))
        ours = {
            "AIRFLOW_HOME": str(self.home),
            # Airflow finds its own command, and the task runner, on the path.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PYTHONUNBUFFERED": "1",
        }
        settings = {
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            # The machine's own name may not resolve.
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "API__BASE_URL": self.url,
            "API__WORKERS": "1",
            "API__SECRET_KEY": secrets.token_urlsafe(48),
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        ours |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
        return inherited | ours | above


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port

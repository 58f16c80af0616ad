# SPDX-License-Identifier: Apache-2.0
"""
Functions in a process of their own, so that nothing that was measured before matters.

What goes in and out is JSON. The process ends with its caller: it reads its standard input to the end.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_STOP_SECONDS = 30


def run_apart(
    function: Callable[..., Any], *arguments: Any, environment: Mapping[str, str] | None = None
) -> Any:
    """
    Run a function in a fresh process, and return what it returns.

    :param function: A function of a module.
    :param arguments: Its arguments.
    :param environment: Variables that are added to this process's.
    """
    output = subprocess.run(  # noqa: S603 - this file
        _command("run", function, arguments),
        cwd=ROOT,
        env=_environment(environment),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(output.strip().rpartition("\n")[2])


@contextlib.contextmanager
def served_apart(
    function: Callable[..., contextlib.AbstractContextManager[Any]], *arguments: Any
) -> Iterator[Any]:
    """
    Enter a context manager in a process of its own; leave it, and end the process, at the end.

    :param function: Makes the context manager; a function of a module.
    :param arguments: Its arguments.
    :return: What the context manager gives.
    """
    server = subprocess.Popen(  # noqa: S603 - this file
        _command("serve", function, arguments),
        cwd=ROOT,
        env=_environment(None),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("The server has no pipes.")
    try:
        said = server.stdout.readline()
        if not said:
            raise RuntimeError(f"{function.__name__} did not start.")
        yield json.loads(said)
    finally:
        server.stdin.close()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


def _command(how: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[str]:
    # A module that was run as a command has no name of its own.
    module = function.__module__
    return [sys.executable, "-m", "benchmarks.apart", how, module, function.__name__, json.dumps(arguments)]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    # Neither an Airflow nor an AWS account of the user may matter, nor a proxy, nor a wish for no bytecode.
    foreign = ("AIRFLOW__", "AIRFLOW_CONN_", "AWS_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    ours = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return {**kept, **ours, **(more or {})}


def main() -> None:
    """Do what the command line says."""
    how, module, name, arguments = sys.argv[1:]
    made = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    if how == "run":
        print(json.dumps(made), flush=True)
        return
    with made as given:
        print(json.dumps(given), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

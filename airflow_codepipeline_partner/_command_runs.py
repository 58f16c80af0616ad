# SPDX-License-Identifier: Apache-2.0
"""
How a command runs, what it prints, and its exit code.

The standard output has only results: declarations, lists, policies. Messages go to the standard error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from airflow_codepipeline_partner.exceptions import CodePipelineError, InvalidInput

DONE, REFUSED, WRONG = 0, 1, 2


def run_command(command: Callable[[Namespace, TextIO], int], parsed: Namespace) -> int:
    """
    Run a command.

    :param command: It takes its arguments and the standard output, and returns the exit code.
    :param parsed: Its arguments.
    :return: The exit code: 0 if it succeeded, 1 if AWS refused or was not reached, 2 for an invalid command
        line or declaration.
    """
    try:
        with _logs_on_stderr() as output:
            return command(parsed, output)
    except InvalidInput as error:
        print_message(str(error))
        return WRONG
    except CodePipelineError as error:
        print_message(str(error))
        return REFUSED
    except KeyboardInterrupt:
        print_message("Interrupted.")
        return REFUSED


@contextlib.contextmanager
def _logs_on_stderr() -> Iterator[TextIO]:
    """Yield the standard output, and send logs, which Airflow writes there, to the standard error."""
    output = sys.stdout
    # Handlers that Airflow's command line set up before it called us.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is output:
            handler.setStream(sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        yield output


def print_message(text: str) -> None:
    """Print what is no result."""
    print(text, file=sys.stderr)


def print_json(value: Any, output: TextIO) -> None:
    """Print a result as JSON."""
    print(json.dumps(value, indent=2), file=output)

# SPDX-License-Identifier: Apache-2.0
"""
The threads in which a triggerer asks AWS and Airflow, since boto3 and the look-up of a connection block.

They are this package's own: the loop's default executor has six threads on two processors, for all triggers
of the triggerer. Who gets no answer asks in other threads from then on, so that others never wait for those.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: How long a connection to AWS, and one answer of it, may take, in seconds, unless ``botocore_config`` says
#: otherwise: for a poll, and for a question about one job, on which other jobs of its client wait.
POLL_TIMEOUTS = {"connect_timeout": 10, "read_timeout": 30}
LOOKUP_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 10}

#: Each poller asks in one thread at a time.
POLLS = ThreadPoolExecutor(64, thread_name_prefix="codepipeline-poll")
#: For polls whose last one got no answer.
POLLS_IN_TROUBLE = ThreadPoolExecutor(32, thread_name_prefix="codepipeline-trouble")
#: For questions about the jobs of one client: one at a time for each client and poller. Their threads take
#: turns with the loop, each for 5 ms: with more of them, a thousand clients at once hold the loop up.
LOOKUPS = ThreadPoolExecutor(16, thread_name_prefix="codepipeline-details")
#: For those of clients whose last one gave no answer.
LOOKUPS_IN_TROUBLE = ThreadPoolExecutor(32, thread_name_prefix="codepipeline-details-trouble")


async def in_thread_of_its_own(function: Callable[[], T]) -> T:
    """
    Return what a function returns that waits for long; the process can end meanwhile.

    A process waits at its end for the threads of pools. It must not look up a connection: in Airflow's
    triggerer that works in pools only.

    :param function: The function.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]  # T may be None

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as raised:
            error = raised
        # The loop may have ended.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="codepipeline-wait", daemon=True).start()
    return await outcome

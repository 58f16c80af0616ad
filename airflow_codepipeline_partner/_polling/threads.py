# SPDX-License-Identifier: Apache-2.0
"""
The threads in which a triggerer asks AWS and Airflow, since boto3 and the look-up of a connection block.

They are this package's own: the loop's default executor has six threads on two processors, for all triggers
of the triggerer. Who gets no answer asks in other threads from then on, so that others never wait for those.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
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
_POLL_THREADS = 64
POLLS = ThreadPoolExecutor(_POLL_THREADS, thread_name_prefix="codepipeline-poll")
#: For polls whose last one got no answer.
POLLS_IN_TROUBLE = ThreadPoolExecutor(32, thread_name_prefix="codepipeline-trouble")
#: For questions about the jobs of one client: one at a time for each client and poller. How many begin at
#: once is limited in ``young_turns``; these are as many as may wait for an answer.
LOOKUPS = ThreadPoolExecutor(64, thread_name_prefix="codepipeline-details")
#: For those of clients whose last one gave no answer.
LOOKUPS_IN_TROUBLE = ThreadPoolExecutor(32, thread_name_prefix="codepipeline-details-trouble")


@functools.cache
def start_poll_threads() -> None:
    """
    Start all threads for polls, once.

    Who starts a thread waits until it has its turn. If many pollers come at once, whose first polls make
    their clients, that would hold the loop up.
    """
    let_go = threading.Event()
    for _ in range(_POLL_THREADS):
        POLLS.submit(let_go.wait)
    let_go.set()


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

# SPDX-License-Identifier: Apache-2.0
"""
One hook, and so one boto3 client, for all polls of a triggerer by one connection; and one for its look-ups.

To make a client takes 0.1 to 0.3 s, most of it with Python's lock held, so that the event loop stands still.
A hook outlives the pollers that use it, and is replaced only for cause.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.threads import LOOKUP_TIMEOUTS, POLL_TIMEOUTS
from airflow_codepipeline_partner._polling.young_turns import YoungTurns

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

#: For how long a hook is kept in any trouble, in seconds. The connection may have been corrected since.
LEAST_AGE = 30.0
MAX_HOOKS = 1000
#: For how long a throttled or lost look-up is retried, in seconds. Otherwise the task would wait until the
#: job is offered again.
LOOKUP_RETRY_DEADLINE = 5.0

_hooks: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedHooks] = WeakKeyDictionary()


class SharedHooks:
    """
    The hooks of one event loop.

    :param clock: Returns the time in seconds; it never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: Connection → its hook, and when that was made. The ones used last are at the end.
        self._hooks: OrderedDict[str, tuple[CodePipelineHook, float]] = OrderedDict()
        #: Connections that were in trouble since their hook was made.
        self._troubled: set[str] = set()

    @classmethod
    def of_running_loop(cls, clock: Callable[[], float]) -> SharedHooks:
        """
        Return the hooks for all polls of the running loop.

        :param clock: For the first who asks: returns the time in seconds.
        """
        return _hooks.setdefault(asyncio.get_running_loop(), cls(clock))

    def get(self, aws: AwsParameters) -> CodePipelineHook:
        """Return the hook for a connection. It may be used by many threads at once."""
        key = self._key_of(aws)
        with self._lock:
            is_old = key in self._hooks and self._clock() - self._hooks[key][1] >= LEAST_AGE
            if key not in self._hooks or (key in self._troubled and is_old):
                self._troubled.discard(key)
                self._hooks[key] = self._make(aws), self._clock()
            self._hooks.move_to_end(key)
            while len(self._hooks) > MAX_HOOKS:
                self._troubled.discard(self._hooks.popitem(last=False)[0])
            return self._hooks[key][0]

    def replace(self, aws: AwsParameters) -> None:
        """Have the connection looked up anew for the next call, unless that was done a moment ago."""
        with self._lock:
            self._troubled.add(self._key_of(aws))

    def _key_of(self, aws: AwsParameters) -> str:
        return key_of(aws)

    def _make(self, aws: AwsParameters) -> CodePipelineHook:
        # One attempt a poll: the wait in between belongs to the loop, not to a thread.
        return aws.with_config_defaults(**POLL_TIMEOUTS).hook(retry_deadline=0)


class LookupHooks(SharedHooks):
    """
    The hooks of one event loop that look jobs up, and so find clients' tokens by a template.

    :param clock: Returns the time in seconds; it never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        #: Clients whose last look-up failed: they must not take the threads of the others.
        self.troubled_clients: set[str | None] = set()
        #: Which look-ups may begin.
        self.turns = YoungTurns()

    def _key_of(self, aws: AwsParameters) -> str:
        return json.dumps([key_of(aws), aws.client_conn_id_template])

    def _make(self, aws: AwsParameters) -> CodePipelineHook:
        hook = aws.with_config_defaults(**LOOKUP_TIMEOUTS).hook(retry_deadline=LOOKUP_RETRY_DEADLINE)
        # Here are the tokens of all clients. Only botocore's debug log would show them.
        hook._tokens.unmasked = not logging.getLogger("botocore").isEnabledFor(logging.DEBUG)
        return hook


def key_of(aws: AwsParameters) -> str:
    """Return what polls by the same connection have in common."""
    parameters = aws.to_arguments()
    # It says how a client's token is found, which no poll needs.
    del parameters["client_conn_id_template"]
    return json.dumps(parameters, sort_keys=True, default=str)

# SPDX-License-Identifier: Apache-2.0
"""
One hook, and so one boto3 client, for all polls of a triggerer by one connection.

To make a client takes 0.1 to 0.3 s, most of it with Python's lock held, so that the event loop stands still.
A hook outlives the pollers that use it, and is replaced only for cause.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.threads import POLL_TIMEOUTS

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

#: For how long a hook is kept in any trouble, in seconds. The connection may have been corrected since.
LEAST_AGE = 30.0
MAX_HOOKS = 1000


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

    def get(self, aws: AwsParameters) -> CodePipelineHook:
        """Return the hook for a connection. It may be used by many threads at once."""
        key = key_of(aws)
        with self._lock:
            is_old = key in self._hooks and self._clock() - self._hooks[key][1] >= LEAST_AGE
            if key not in self._hooks or (key in self._troubled and is_old):
                self._troubled.discard(key)
                # One attempt a poll: the wait in between belongs to the loop, not to a thread.
                hook = aws.with_config_defaults(**POLL_TIMEOUTS).hook(retry_deadline=0)
                self._hooks[key] = hook, self._clock()
            self._hooks.move_to_end(key)
            while len(self._hooks) > MAX_HOOKS:
                self._troubled.discard(self._hooks.popitem(last=False)[0])
            return self._hooks[key][0]

    def replace(self, aws: AwsParameters) -> None:
        """Have the connection looked up anew for the next poll, unless that was done a moment ago."""
        with self._lock:
            self._troubled.add(key_of(aws))


def key_of(aws: AwsParameters) -> str:
    """Return what polls by the same connection have in common."""
    parameters = aws.to_arguments()
    # It says how a client's token is found, which no poll needs.
    del parameters["client_conn_id_template"]
    return json.dumps(parameters, sort_keys=True, default=str)

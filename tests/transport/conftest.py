# SPDX-License-Identifier: Apache-2.0
"""What the tests of the transport work with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import ACTION_TYPE
from transport_calls import (
    ACKNOWLEDGE,
    DETAILS,
    POLL,
    SUCCESS,
    Front,
)

from airflow_codepipeline_partner.emulator import Emulator


@pytest.fixture
def front(emulator: Emulator) -> Iterator[Front]:
    with Front(emulator.url) as running:
        yield running


@pytest.fixture
def prepare(emulator, customer):
    """Bring a job so far, with this hook, that one call is next; return that call."""

    def prepared(operation, hook):
        emulator.start_execution("pipe")
        if operation == POLL:
            return lambda: hook.poll(ACTION_TYPE)
        [offered] = hook.poll(ACTION_TYPE)
        if operation == DETAILS:
            return lambda: hook.details(offered)
        if operation == ACKNOWLEDGE:
            return lambda: hook.try_claim(offered)
        claimed = hook.claim(offered)
        if operation == SUCCESS:
            return lambda: hook.succeed(claimed)
        return lambda: hook.fail(claimed, message="Broken.")

    return prepared

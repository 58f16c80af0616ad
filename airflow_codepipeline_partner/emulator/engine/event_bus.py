# SPDX-License-Identifier: Apache-2.0
"""moto's EventBridge and SQS, called in the process: who wants the events, and gets them."""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

from moto.backends import get_backend

from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.model.events import Event
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID

_DEFAULT_BUS = "default"  # AWS's services send to no other
_TRANSFORMER = "InputTransformer"
# By account and region. moto empties them at a reset, and never replaces them.
_EVENTS: Any = get_backend("events")
_SQS: Any = get_backend("sqs")
_log = logging.getLogger(__name__)


def has_rules(region: str) -> bool:
    """Return whether the default bus of a region has rules."""
    return bool(_rules(region))


def send(event: Event) -> None:
    """Send an event to the targets of the rules that it matches. What moto refuses is logged, not raised."""
    for rule in list(_rules(event.region).values()):
        # moto sends to a disabled rule's targets too.
        if rule.state != "ENABLED":
            continue
        for target in list(rule.targets):
            # One by one: moto would stop at the first target that it cannot send to.
            single = copy.copy(rule)
            single.targets = [target]
            try:
                # moto's usual template loses the account, and fills in what stands between < and >.
                single.send_to_targets(_as_moto_has_it(event, target), _TRANSFORMER in target)
            except Exception:
                _log.debug("moto did not send an event to a target of the rule %s", rule.name, exc_info=True)


def find_queue(queue: str, region: str) -> str:
    """
    Return the name of a queue that exists in a region.

    :param queue: Its name, URL or ARN.
    :raises ControlError: There is no such queue, or it is a FIFO queue.
    """
    name = queue.replace(":", "/").rpartition("/")[2]
    if name not in _queues(region).queues:
        raise ControlError(f"there is no queue {name!r} in the region {region}", 404)
    if name.endswith(".fifo"):
        raise ControlError("a FIFO queue gets events by a rule with a MessageGroupId only")
    return name


def send_to_queue(event: Event, region: str, name: str) -> None:
    """Send an event to a queue. What moto refuses is logged, not raised."""
    try:
        _queues(region).send_message(queue_name=name, message_body=json.dumps(event.as_dict()))
    except Exception:
        _log.debug("moto did not send an event to the queue %s", name, exc_info=True)


def _as_moto_has_it(event: Event, target: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its time as a number, which moto makes a text of for its targets."""
    shape = event.as_dict() | {"time": event.at}
    return shape | {"ingestion-time": event.at} if _TRANSFORMER in target else shape


def _rules(region: str) -> dict[str, Any]:
    # With [] moto would make what is not there, at the cost of each event that nobody waits for.
    account = _EVENTS.get(ACCOUNT_ID)
    backend = None if account is None else account.get(region)
    buses = {} if backend is None else backend.event_buses
    return buses[_DEFAULT_BUS].rules if _DEFAULT_BUS in buses else {}


def _queues(region: str) -> Any:
    try:
        return _SQS[ACCOUNT_ID][region]
    except KeyError:
        raise ControlError(f"moto knows no region {region!r}") from None

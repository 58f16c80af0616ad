# SPDX-License-Identifier: Apache-2.0
"""What a run was started for: from an asset's events, or from the run's conf."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from airflow_codepipeline_partner.exceptions import InvalidInput

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunEvents(Generic[T]):
    """
    How one kind of thing is read from events and conf.

    :param member: The member of an event, and of a conf, that holds a list of them.
    :param one: What one of them is called.
    :param maker: The function that makes the asset.
    :param by_hand: What somebody writes as the conf of a run by hand.
    :param read: Reads one. It raises InvalidInput.
    :param id_of: Returns the id of one.
    :param error: What is raised if there are none.
    """

    member: str
    one: str
    maker: str
    by_hand: str
    read: Callable[[Any], T]
    id_of: Callable[[T], str]
    error: type[InvalidInput]

    def of_run(self, context: Mapping[str, Any]) -> list[T]:
        """
        Return those for which a run was started, each once, as the last event has it.

        :param context: The context of one of its tasks.
        :raises InvalidInput: There are none, or the values are something else.
        """
        found = {self.id_of(each): each for each in self.of_events(context)}
        if not found:
            found = {self.id_of(each): each for each in self._of_conf(context)}
        return list(found.values())

    def readable(self, values: Any) -> list[T]:
        """
        Return those that values name. What names none is logged: it must not hold up the others.

        :raises InvalidInput: None of them names one.
        """
        if not isinstance(values, list | tuple):
            raise self.error(f"The {self.member} must be a list, not a {type(values).__name__}.")
        found: list[T] = []
        strange: InvalidInput | None = None
        for value in values:
            try:
                found.append(self.read(value))
            except InvalidInput as error:
                log.warning("One of the %s is left out: %s", self.member, error)
                strange = error
        if strange is not None and not found:
            raise strange
        return found

    def of_events(self, context: Mapping[str, Any]) -> Iterator[T]:
        """Yield those of the events that started a run, the oldest event first."""
        strange: InvalidInput | None = None
        found = False
        by_asset = (context.get("triggering_asset_events") or {}).items()
        of_all = [(asset, event) for asset, events in by_asset for event in events]
        for asset, event in sorted(of_all, key=lambda each: each[1].timestamp):
            try:
                held = self._held_by(asset, event)
            except InvalidInput as error:
                # An event from elsewhere must not hold up the others.
                log.warning("%s", error)
                strange = error
                continue
            for value in held:
                try:
                    one = self.read(value)
                except InvalidInput as error:
                    # Nor may one of them hold up the others of its event.
                    log.warning(
                        "An event of the asset %r holds something that is no %s: %s",
                        asset.name,
                        self.one,
                        error,
                    )
                    strange = error
                else:
                    found = True
                    yield one
        if strange is not None and not found and not context["dag_run"].conf:
            raise strange

    def _held_by(self, asset: Any, event: Any) -> list[Any]:
        payload = (event.extra or {}).get("payload")
        held = payload.get(self.member) if isinstance(payload, Mapping) else None
        if not isinstance(held, list):
            raise self.error(
                f"An event of the asset {asset.name!r} holds no {self.member}; only those of the watcher "
                f"that {self.maker} makes do. To start a run by hand, give the {self.member} in its conf."
            )
        return held

    def _of_conf(self, context: Mapping[str, Any]) -> Iterator[T]:
        conf = context["dag_run"].conf or {}
        if not conf:
            raise self.error(
                f"This run was started by no event of {self.member} and has no conf. To start one by hand, "
                f"give it as its conf {self.by_hand}."
            )
        held = conf.get(self.member, [conf])
        if not isinstance(held, list):
            raise self.error(f"{self.member} in the run's conf must be a list, not a {type(held).__name__}.")
        yield from self.readable(held)

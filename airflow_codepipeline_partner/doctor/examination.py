# SPDX-License-Identifier: Apache-2.0
"""Run the checks, each by itself: none stops another one, and none holds it up for longer than its limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from airflow_codepipeline_partner._secrets import without_frames
from airflow_codepipeline_partner.doctor.findings import CannotCheck, Check, Finding, LeftOut, Line, unknown

T = TypeVar("T")


class Examination:
    """
    Run checks.

    :param checks: The checks, in the order in which they run.
    """

    def __init__(self, checks: Iterable[Check]) -> None:
        self._checks = checks
        self._causes: set[object] = set()
        #: The checks that could not look for a reason that another one reports.
        self.left_out: list[Check] = []

    def lines(self) -> Iterator[Line]:
        """Yield what each check finds."""
        for check in self._checks:
            try:
                found = _findings_of(check)
            except LeftOut:
                self.left_out.append(check)
                continue
            except CannotCheck as why:
                if why.cause in self._causes:
                    self.left_out.append(check)
                    continue
                self._causes.add(why.cause)
                found = [why.finding]
            self._causes.update((each.what, each.to_do) for each in found if each.to_do)
            for finding in found:
                yield Line(check.group, check.name, finding)


def _findings_of(check: Check) -> list[Finding]:
    def run() -> list[Finding]:
        found = check.function()
        return [found] if isinstance(found, Finding) else list(found)

    try:
        return within(check.limit, run)
    except (CannotCheck, LeftOut):
        raise
    except TimeoutError:
        return [_no_answer(check.limit)]
    except (Exception, SystemExit) as error:
        # By its name only: its text may quote anything. Airflow exits where it finds its settings wrong.
        return [
            unknown(
                f"This check broke off: {type(error).__name__}.",
                "Report it with the versions above, please; the other checks are not affected.",
            )
        ]


def _no_answer(limit: float) -> Finding:
    return unknown(
        f"There was no answer within {limit:g} s.", "Check the network, its proxy, and what is asked here."
    )


def within(limit: float, function: Callable[[], T]) -> T:
    """
    Return what a function returns, or raise what it raises.

    A function that does not return in time is left to itself: its thread ends with the process.

    :param limit: How long to wait, in seconds.
    :param function: The function.
    :raises TimeoutError: It has not returned in time.
    """
    done: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            done.append((function(), None))
        except BaseException as error:
            done.append((None, without_frames(error)))

    thread = threading.Thread(target=run, daemon=True, name="doctor")
    thread.start()
    thread.join(limit)
    if not done:
        raise TimeoutError
    [(value, error)] = done
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


class Shared(Generic[T]):
    """
    What several checks need, found once. If it cannot be found, none of them waits for it again.

    :param function: What finds it.
    :param limit: How long that may take, in seconds.
    """

    def __init__(self, function: Callable[[], T], limit: float) -> None:
        self._function = function
        self._limit = limit
        self._lock = threading.Lock()
        self._found: list[Any] = []
        self._why: BaseException | None = None

    def get(self) -> T:
        """
        Return it.

        :raises CannotCheck: It cannot be found, or not in time.
        """
        with self._lock:
            if self._why is None and not self._found:
                try:
                    self._found.append(within(self._limit, self._function))
                except TimeoutError:
                    nothing = _no_answer(self._limit)
                    self._why = CannotCheck(nothing.what, nothing.to_do, cause=self)
                except (Exception, SystemExit) as error:
                    self._why = error
        if self._why is not None:
            raise self._why
        found: T = self._found[0]
        return found


def for_each(items: Iterable[T], function: Callable[[T], None], at_once: int) -> None:
    """
    Call a function for each item, from several threads, and return when all are done.

    The threads end with the process, should a call never return.

    :param items: The items.
    :param function: What is called; it must not raise.
    :param at_once: The most calls at one time.
    """
    left = iter(list(items))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                try:
                    item = next(left)
                except StopIteration:
                    return
            function(item)

    threads = [threading.Thread(target=work, daemon=True, name=f"doctor-{n}") for n in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

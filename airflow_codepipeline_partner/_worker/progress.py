# SPDX-License-Identifier: Apache-2.0
"""What a user's function says of the work of another system: it is done, it is not yet, or it failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

from airflow_codepipeline_partner._compat import ends_task_otherwise, is_final
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._protocol.results import ExecutionDetails
from airflow_codepipeline_partner._worker.failures import cannot_be_sent, fail_without_retry_if_permanent
from airflow_codepipeline_partner.exceptions import InvalidInput, JobFailure

log = logging.getLogger(__name__)


def ask(
    progress: Callable[..., Any],
    job: ClaimedJob,
    arguments: Mapping[str, Any],
    *,
    task_id: str,
    silent_fail: bool,
) -> Literal[True] | ExecutionDetails | None:
    """
    Call a user's function, and return what it says of the work: True if it is done.

    :param progress: The function.
    :param job: The claimed job.
    :param arguments: More arguments of the function.
    :param task_id: The running task, to be named in errors.
    :param silent_fail: Whether an error that does not say that the work failed means that it goes on.
    :raises AirflowFailException: The function returned something else, or would have skipped, deferred or
        rescheduled the task.
    """
    try:
        said = progress(job, **arguments)
    except BaseException as error:
        if cannot_be_sent(error):
            # The function made its details, and they do not fit.
            with fail_without_retry_if_permanent():
                raise
        is_said = isinstance(error, JobFailure) or is_final(error)
        if silent_fail and isinstance(error, Exception) and not is_said and not ends_task_otherwise(error):
            log.warning("progress of %s failed; it is asked again.", task_id, exc_info=error)
            return None
        if not ends_task_otherwise(error):
            raise
        # The customer might read success, or the time for the work might begin anew.
        raised = type(error).__name__
    else:
        with fail_without_retry_if_permanent():
            return _read(said, task_id)
    with fail_without_retry_if_permanent():
        raise InvalidInput(
            f"progress of {task_id} raised {raised}. It can say that the work is done or not, or fail; it "
            "cannot end the task in another way."
        )


def _read(said: Any, task_id: str) -> Literal[True] | ExecutionDetails | None:
    if type(said).__module__ == "numpy" and getattr(said, "ndim", 0) == 0 and hasattr(said, "item"):
        # A comparison of pandas' values returns numpy's own kind of boolean.
        said = said.item()
    if said is True:
        return True
    if said is False or said is None:
        return None
    if not isinstance(said, Mapping | ExecutionDetails):
        raise InvalidInput(
            f"progress of {task_id} must return True (done), ExecutionDetails, a mapping with "
            f"percentComplete and summary, or None; it returned a {type(said).__name__}."
        )
    return ExecutionDetails.from_value(said)

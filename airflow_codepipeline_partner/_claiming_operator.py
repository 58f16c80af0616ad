# SPDX-License-Identifier: Apache-2.0
"""What the tasks that claim a job have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from airflow_codepipeline_partner._base_operator import CodePipelineBaseOperator
from airflow_codepipeline_partner._compat import AirflowFailException, AirflowSkipException
from airflow_codepipeline_partner._protocol.choices import UnknownClaim, check_unknown_claim


class ClaimingOperator(CodePipelineBaseOperator):
    """
    A task that claims a job.

    Once a try of it has claimed the job, nothing of the author's skips a later try before ``execute``: a
    macro in a template, ``pre_execute``, ``@task.run_if`` or ``@task.skip_if``. The job would have no end,
    and the run would be green.

    :param unknown_claim: What to do if the claim is unknown, ``assume_ours`` or ``leave``.
    """

    #: Marks the tasks that record claims, for the finishing task and the callback.
    claims_job: ClassVar[bool] = True

    def __init__(self, *, unknown_claim: UnknownClaim = "assume_ours", **kwargs: Any) -> None:
        check_unknown_claim(unknown_claim)
        # A new job is claimed after the work on the others: Airflow's default rule would put it first.
        kwargs.setdefault("weight_rule", "absolute")
        super().__init__(**kwargs)
        self.unknown_claim = unknown_claim

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Any, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        from airflow_codepipeline_partner._worker.claim_checkpoint import claim_of_retry

        # Airflow calls this for a mapped task, too, and not render_template_fields.
        render = functools.partial(
            super()._do_render_template_fields, parent, template_fields, context, jinja_env, seen_oids
        )
        record = claim_of_retry(context) if parent is self else None
        if record is None or not record.counts_as_ours(self.unknown_claim):
            render()
            return
        job_id = record.job.job_id
        with _not_skipped(job_id):
            render()
        hook = self._pre_execute_hook
        if hook is not None and not inspect.isgeneratorfunction(hook):
            self._pre_execute_hook = _without_a_skip(hook, job_id)


def _without_a_skip(hook: Callable[..., Any], job_id: str) -> Callable[..., Any]:
    @functools.wraps(hook)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _not_skipped(job_id):
            return hook(*args, **kwargs)

    return wrapped


@contextmanager
def _not_skipped(job_id: str) -> Iterator[None]:
    """Have a task fail that would be skipped although an earlier try has claimed a job."""
    try:
        yield
    except AirflowSkipException as error:
        raise AirflowFailException(
            f"An earlier try of this task claimed job {job_id}, so it cannot be skipped any more."
        ) from error

# SPDX-License-Identifier: Apache-2.0
"""
The triggers that wait for jobs, and for the ends of pipelines' executions.

They only ask: a task claims a job, never the triggerer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._pipeline_events import CodePipelineEventTrigger
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob, check_query_param
from airflow_codepipeline_partner._protocol.parsing import check_text, read_wake_queue
from airflow_codepipeline_partner._trigger_arguments import fails_alone
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, described

if TYPE_CHECKING:
    from airflow_codepipeline_partner._polling.execution_poller import ExecutionPoller
    from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter
    from airflow_codepipeline_partner._polling.poller import SharedPoller
    from airflow_codepipeline_partner._protocol.executions import PipelineExecution
    from airflow_codepipeline_partner._worker.record_search import ClaimInRun

__all__ = [
    "CodePipelineContinuationTrigger",
    "CodePipelineEventTrigger",
    "CodePipelineExecutionTrigger",
    "CodePipelineJobTrigger",
]

#: After this many seconds in the triggerer a task reads the record, and then waits on. Another task of the
#: run, which a user marked as failed while it ran, may have claimed the job, and only the record says so.
LOOK_AT_RECORD_AFTER = 120.0
#: For how many seconds the wait for an execution lasts at least, whatever its deadline: for one look.
LEAST_WAIT_FOR_EXECUTION = 60.0
#: How long after the deadline Airflow may end a deferral whose trigger does not run, in seconds.
DEFERRAL_MARGIN = 60


def event(status: str, jobs: list[OfferedJob] | None = None, error: str | None = None) -> TriggerEvent:
    """
    Return a trigger's event. Airflow logs and stores it, so it names jobs and holds no secret.

    :param status: ``offered``, ``timeout`` or ``error``.
    :param jobs: The offered jobs.
    :param error: What went wrong.
    """
    return TriggerEvent(  # type: ignore[no-untyped-call]
        {"status": status, "jobs": [job.to_xcom() for job in jobs or ()], "error": error}
    )


class CodePipelineJobTrigger(BaseEventTrigger):
    """
    Wait until CodePipeline offers jobs of an action type.

    All triggers of a triggerer with the same action type, query and AWS parameters share one poll, at the
    shortest of their intervals and for the largest of their batches. Each job goes to one waiting task, and
    to each watched asset.

    :param action_type: What to poll for: an ActionType, AWS's mapping, or
        ``category/owner/provider/version``.
    :param max_batch_size: The most jobs of one poll, at least 1. A task gets no more; an asset's event may
        have those of several polls.
    :param poll_interval: Seconds between two polls, varied by a tenth.
    :param timeout_deadline: Until when to wait for one event, in seconds since the epoch. An absolute time
        survives a restart of the triggerer. If None, the trigger never ends: it makes an event for the polls
        that return jobs and follow at once on each other, and continues after errors. If a job stays
        unclaimed and is offered again, there is another event after 30 s. The pause doubles each time, up to
        5 minutes. Airflow may overlook an event within 30 s of another, so its jobs come again after 5 s and
        20 s.
    :param retry_deadline: How long CodePipeline may fail to answer, in seconds, before the wait ends with an
        error. The polls back off meanwhile, up to a minute. It has no effect without ``timeout_deadline``.
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The region of the jobs. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: The template of a client's connection id.
    :param query_param: A filter for custom jobs: ``{property name: value}``. CodePipeline returns only jobs
        whose queryable property has this value. Required if the action type has a queryable property.
    :param wake_queue: The URL of an SQS queue with CodePipeline's events of started actions, which an
        EventBridge rule puts there, or None. If it holds an event of this action type, CodePipeline is polled
        at once. Whatever is wrong with the queue, the polls at the interval go on.

    Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
    """

    @fails_alone
    def __init__(
        self,
        action_type: ActionType | dict[str, str] | str,
        max_batch_size: int = 10,
        poll_interval: float = 30,
        timeout_deadline: float | None = None,
        retry_deadline: float = 300,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
        query_param: Mapping[str, str] | None = None,
        wake_queue: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.action_type = ActionType.from_value(action_type)
        self.query_param = check_query_param(self.action_type, query_param)
        self.max_batch_size = max_batch_size
        self.poll_interval = poll_interval
        self.timeout_deadline = timeout_deadline
        self.retry_deadline = retry_deadline
        self.wake_queue = read_wake_queue(wake_queue)
        self.aws = AwsParameters(aws_conn_id, region_name, verify, botocore_config, client_conn_id_template)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, as they lie in Airflow's database."""
        # Not if it is None: an older triggerer does not know it.
        more = {} if self.wake_queue is None else {"wake_queue": self.wake_queue}
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "action_type": self.action_type.to_api(),
                "max_batch_size": self.max_batch_size,
                "poll_interval": self.poll_interval,
                "timeout_deadline": self.timeout_deadline,
                "retry_deadline": self.retry_deadline,
                "query_param": self.query_param,
                **self.aws.to_arguments(),
                **more,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait at the shared poller: for one event or, as a watcher, for ever."""
        if self.timeout_deadline is not None:
            yield await self._first_event(self.timeout_deadline)
            return
        from airflow_codepipeline_partner._compat import asset_state_store
        from airflow_codepipeline_partner._polling.poll_notes import noting

        poller = self._poller()
        offers = poller.watch(self.max_batch_size, self.poll_interval, self.wake_queue)
        name = str(self.action_type)
        async with noting(asset_state_store(self), name, lambda: poller.last_poll), aclosing(offers):
            async for jobs in offers:
                yield event("offered", jobs)

    def _poller(self) -> SharedPoller:
        # A DAG file makes triggers, for an asset or to be deferred, but only a triggerer polls.
        from airflow_codepipeline_partner._polling.poller import SharedPoller

        return SharedPoller.for_(self.action_type, self.aws, self.query_param)

    async def _first_event(self, deadline: float, next_job: NextJobFilter | None = None) -> TriggerEvent:
        try:
            jobs = await self._poller().wait(
                self.max_batch_size,
                self.poll_interval,
                deadline=deadline,
                retry_deadline=self.retry_deadline,
                next_job=next_job,
                wake_queue=self.wake_queue,
                template=self.aws.client_conn_id_template,
            )
        except TimeoutError:
            return event("timeout")
        except CodePipelineProviderError as error:
            return event("error", error=described(error))
        return event("offered", jobs)


class CodePipelineContinuationTrigger(CodePipelineJobTrigger):
    """
    Wait until CodePipeline offers the next job of an action, made for a continuation token of this package.

    The trigger shares the poll of all who wait for jobs of the action type. A poll for partner jobs returns
    no continuation tokens, so the details of each offered job of the client are requested once.

    :param client_id: The client id of the next job. None for a custom job.
    :param continuation_token: The token of the next job. It names the waiting task, and holds no secret.
    :param timeout_deadline: Until when to wait, in seconds since the epoch.
    :param doubtful_job_id: The id of the former job, if its claim is unknown. The trigger waits for this job
        too: if it is offered, nobody has claimed it. None if the claim is certain.
    :param other_tokens: Tokens of other tasks of the run that the next job may carry instead, if it is not
        known whose result was taken.
    :param parameters: The other parameters of :class:`CodePipelineJobTrigger`.

    Source: PollForThirdPartyJobs, GetThirdPartyJobDetails, PollForJobs, GetJobDetails, CodePipeline API
    2015-07-09.
    """

    @fails_alone
    def __init__(
        self,
        *,
        client_id: str | None,
        continuation_token: str,
        timeout_deadline: float,
        doubtful_job_id: str | None = None,
        other_tokens: Sequence[str] = (),
        **parameters: Any,
    ) -> None:
        super().__init__(timeout_deadline=timeout_deadline, **parameters)
        self.client_id = client_id
        self.continuation_token = continuation_token
        self.doubtful_job_id = doubtful_job_id
        self.other_tokens = tuple(other_tokens)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, as they lie in Airflow's database."""
        name, arguments = super().serialize()
        more: dict[str, Any] = {
            "client_id": self.client_id,
            "continuation_token": self.continuation_token,
            "doubtful_job_id": self.doubtful_job_id,
        }
        if self.other_tokens:
            more["other_tokens"] = list(self.other_tokens)
        return name, {**arguments, **more}

    @property
    def next_job(self) -> NextJobFilter:
        """The job that the task waits for."""
        from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter

        return NextJobFilter(
            self.client_id, self.continuation_token, self.aws, self.doubtful_job_id, self.other_tokens
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait at the shared poller."""
        yield await self._first_event(self.timeout_deadline or 0.0, self.next_job)


class CodePipelineExecutionTrigger(BaseTrigger):
    """
    Wait until an execution of a pipeline has ended. Meanwhile the task's log shows what its actions do.

    All triggers of a triggerer that wait for executions of the same pipeline with the same AWS parameters
    share their calls, at the shortest of their intervals.

    :param pipeline_name: The pipeline.
    :param execution_id: The execution.
    :param poll_interval: Seconds between two looks, varied by a tenth.
    :param timeout_deadline: Until when to wait, in seconds since the epoch. If None, without end.
    :param retry_deadline: How long CodePipeline may fail to answer, in seconds, before the wait ends with an
        error. The looks back off meanwhile, up to a minute.
    :param stop_on_kill: What to do if somebody ends the waiting task (from Airflow 3.3 on): ``wait`` stops
        the execution when its actions in progress have ended, ``abandon`` at once. None leaves it alone.
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The pipeline's region. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: Not used by pipelines.

    Source: ListPipelineExecutions, ListActionExecutions, GetPipelineExecution, StopPipelineExecution,
    CodePipeline API 2015-07-09.
    """

    @fails_alone
    def __init__(
        self,
        pipeline_name: str,
        execution_id: str,
        poll_interval: float = 30,
        timeout_deadline: float | None = None,
        retry_deadline: float = 300,
        stop_on_kill: Literal["wait", "abandon"] | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline_name = pipeline_name
        self.execution_id = execution_id
        self.poll_interval = poll_interval
        self.timeout_deadline = timeout_deadline
        self.retry_deadline = retry_deadline
        self.stop_on_kill = stop_on_kill
        self.aws = AwsParameters(aws_conn_id, region_name, verify, botocore_config, client_conn_id_template)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, as they lie in Airflow's database."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "pipeline_name": self.pipeline_name,
                "execution_id": self.execution_id,
                "poll_interval": self.poll_interval,
                "timeout_deadline": self.timeout_deadline,
                "retry_deadline": self.retry_deadline,
                "stop_on_kill": self.stop_on_kill,
                **self.aws.to_arguments(),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait at the pipeline's shared poller; make one event."""
        from airflow_codepipeline_partner._polling.execution_poller import ExecutionPoller

        poller = ExecutionPoller.for_(self.pipeline_name, self.aws)
        try:
            check_text("pipelineName", self.pipeline_name)
            check_text("pipelineExecutionId", self.execution_id)
            async with asyncio.timeout(self._seconds_left()):
                execution = await self._end(poller)
        except TimeoutError:
            # Nobody knows whether it has ended if nobody could look.
            yield self._event("timeout") if poller.trouble is None else self._failed(poller.trouble)
        except CodePipelineProviderError as error:
            yield self._failed(error)
        else:
            yield self._event("ended", execution=execution.to_xcom())

    def _failed(self, error: CodePipelineProviderError) -> TriggerEvent:
        return self._event("error", error=described(error))

    def _event(self, status: str, **facts: Any) -> TriggerEvent:
        # With the id in each: dag.test() hands nothing else to the method that goes on.
        known: dict[str, Any] = {"status": status, "pipeline_execution_id": self.execution_id}
        known["timeout_deadline"] = self.timeout_deadline
        return TriggerEvent({**known, "execution": None, "error": None, **facts})  # type: ignore[no-untyped-call]

    def _seconds_left(self) -> float | None:
        if self.timeout_deadline is None:
            return None
        # After a restart of the triggerer, too, it looks once.
        return max(self.timeout_deadline - time.time(), LEAST_WAIT_FOR_EXECUTION)

    async def _end(self, poller: ExecutionPoller) -> PipelineExecution:
        from airflow_codepipeline_partner._protocol.execution_progress import ExecutionProgress

        progress = ExecutionProgress()
        looks = poller.follow(self.execution_id, self.poll_interval, retry_deadline=self.retry_deadline)
        async with aclosing(looks):
            async for look in looks:
                with pipeline_fields(self.pipeline_name, self.execution_id):
                    for line in progress.lines(look.actions):
                        self.log.info(line)
                execution = look.execution.with_actions(look.actions)
        return execution

    async def on_kill(self) -> None:
        """Stop the execution, if the task was told to, when somebody ends it while it waits."""
        if self.stop_on_kill is not None:
            from airflow_codepipeline_partner._polling.execution_poller import stop

            await stop(
                self.aws, self.pipeline_name, self.execution_id, abandon=self.stop_on_kill == "abandon"
            )


def defer_for_next_job(
    task: Any,
    claim: ClaimInRun,
    *,
    timeout: float,
    poll_interval: float,
    method_name: str,
    at_least: float | None,
    kwargs: Mapping[str, Any] | None = None,
) -> None:
    """
    Have the running task wait, in the triggerer, until the action's next job is offered.

    :param task: The running task.
    :param claim: The newest job's claim.
    :param timeout: How long to wait, in seconds. The time starts when any try sent the progress, or when the
        job was last offered but not claimed. At least one poll is made. For a job with an unknown claim that
        took no result it is 900 at most, from its first refusal on. A try of a task waits for 300 s in any
        case, or for this time if it is shorter.
    :param poll_interval: Seconds between two polls.
    :param method_name: The name of the task's method that continues with the event. It takes ``at_least``.
    :param at_least: What that method was given, if this try has waited before; else None.
    :param kwargs: More arguments of that method.
    :raises InvalidJobReference: The job does not say what to poll for.
    """
    from airflow_codepipeline_partner._worker.awaited_job import (
        LEAST_WAIT,
        action_type_of,
        awaited_tokens,
        wait_deadline,
    )

    job = claim.record.job.job
    # There is one at least: only then there is something to wait for.
    token, *other_tokens = awaited_tokens(claim)
    now = time.time()
    at_least = now + min(timeout, LEAST_WAIT) if at_least is None else at_least
    deadline = wait_deadline(claim, timeout, at_least)
    task.defer(
        trigger=CodePipelineContinuationTrigger(
            action_type=action_type_of(job),
            client_id=job.client_id,
            continuation_token=token,
            other_tokens=other_tokens,
            # Its result counts as put if the answer was lost, or was refused. If the job was never claimed,
            # it is offered again, and no next job comes.
            doubtful_job_id=None if claim.record.is_certain or claim.results.best is None else job.job_id,
            poll_interval=poll_interval,
            timeout_deadline=min(deadline, now + max(LOOK_AT_RECORD_AFTER, poll_interval)),
            query_param=job.query_param,
            **AwsParameters.of(task).to_arguments(),
        ),
        method_name=method_name,
        kwargs={"at_least": at_least, **(kwargs or {})},
        # A triggerer that is away for a while must not end the wait early.
        timeout=timedelta(seconds=max(deadline - now, LOOK_AT_RECORD_AFTER, poll_interval) + DEFERRAL_MARGIN),
    )

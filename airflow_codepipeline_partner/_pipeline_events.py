# SPDX-License-Identifier: Apache-2.0
"""The trigger that watches a pipeline; ``triggers`` has it among its public names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE
from airflow_codepipeline_partner._protocol.choices import check_execution_states
from airflow_codepipeline_partner._protocol.parsing import check_text, read_wake_queue
from airflow_codepipeline_partner._trigger_arguments import fails_alone
from airflow_codepipeline_partner.exceptions import InvalidInput


class CodePipelineEventTrigger(BaseEventTrigger):
    """
    Watch a pipeline: make an event when executions of it have reached a state. It never ends.

    All triggers of a triggerer for the same pipeline with the same AWS parameters share their calls, at the
    shortest of their intervals, also those that wait for the end of one execution. An event has all
    executions that have reached a state between two looks. Airflow may overlook an event within 30 s of
    another, so its executions are said again after 5 s and 20 s.

    :param pipeline_name: The pipeline.
    :param states: The states that count: ``Succeeded``, ``Failed``, ``Stopped``, ``Superseded``,
        ``Cancelled``, ``InProgress``. If somebody retries a stage of an execution that has ended, it reaches
        ``InProgress`` and an end once more. With ``InProgress``, an execution that has begun and ended
        between two looks counts with its end, whichever that is.
    :param poll_interval: Seconds between two looks, varied by a tenth.
    :param look_back: What ended before the first look makes no event if the trigger starts for the first
        time. At a restart, it takes up where it was, but goes back a day at most. Before Airflow 3.3.2, and
        if several assets have this trigger, it cannot know a restart: then each start makes an event for
        what ended at most this many seconds before.
    :param wake_queue: The URL of an SQS queue with CodePipeline's events of changed executions, which an
        EventBridge rule puts there, or None. If it holds an event of this pipeline, the trigger looks at
        once. Whatever is wrong with the queue, the looks at the interval go on.
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The pipeline's region. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: Not used by pipelines.
    :raises InvalidInput: The pipeline's name, a state, the interval or the queue does not fit.

    Source: ListPipelineExecutions, GetPipelineExecution, CodePipeline API 2015-07-09.
    """

    # It lies in Airflow's database under its public name.
    __module__ = "airflow_codepipeline_partner.triggers"

    @fails_alone
    def __init__(
        self,
        pipeline_name: str,
        states: Iterable[str] = ("Succeeded",),
        poll_interval: float = 30,
        look_back: float = 600,
        wake_queue: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline_name = check_text("pipelineName", pipeline_name)
        self.states = check_execution_states(states)
        if not poll_interval > 0:
            raise InvalidInput(f"poll_interval must be more than 0 seconds; {poll_interval:g} was given.")
        if not 0 <= look_back < float("inf"):
            raise InvalidInput(f"look_back must be 0 seconds or more; {look_back:g} was given.")
        self.poll_interval = poll_interval
        self.look_back = look_back
        self.wake_queue = read_wake_queue(wake_queue)
        self.aws = AwsParameters(aws_conn_id, region_name, verify, botocore_config, client_conn_id_template)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, as they lie in Airflow's database."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "pipeline_name": self.pipeline_name,
                "states": list(self.states),
                "poll_interval": self.poll_interval,
                "look_back": self.look_back,
                "wake_queue": self.wake_queue,
                **self.aws.to_arguments(),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch at the pipeline's shared poller, for ever."""
        from airflow_codepipeline_partner._compat import asset_state_store
        from airflow_codepipeline_partner._polling.execution_poller import ExecutionPoller
        from airflow_codepipeline_partner._polling.watch_memory import WatchMemory
        from airflow_codepipeline_partner._protocol.execution_changes import ExecutionChanges

        pipeline = (self.pipeline_name, self.aws.aws_conn_id, self.aws.region_name, *sorted(self.states))
        memory = WatchMemory(asset_state_store(self), pipeline, self.look_back)
        changes = ExecutionChanges(self.states, await memory.recall())
        poller = ExecutionPoller.for_(self.pipeline_name, self.aws)
        async with aclosing(poller.watch(changes, self.poll_interval, self.wake_queue)) as looks:
            async for look in looks:
                await memory.note(look)
                if look.executions:
                    executions = [each.to_event() for each in look.executions]
                    # Airflow logs and stores it. No secret is in it.
                    yield TriggerEvent({"status": "reached", "executions": executions})  # type: ignore[no-untyped-call]

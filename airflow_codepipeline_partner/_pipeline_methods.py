# SPDX-License-Identifier: Apache-2.0
"""The hook's methods for pipelines: start and stop them, and see how their executions go."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from airflow_codepipeline_partner._protocol import pipeline_calls
from airflow_codepipeline_partner._protocol.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._secrets import Secret
from airflow_codepipeline_partner.exceptions import CodePipelineError

#: Refusals of a stop that mean that the execution ends anyway.
_STOPS_ANYWAY = ("DuplicatedStopRequestException", "PipelineExecutionNotStoppableException")
#: Most pages that are read to find executions. An execution that is on its way is among the newest.
MOST_PAGES = 10


class PipelineMethods:
    """What a hook does with pipelines. It needs a hook that sends calls."""

    @abstractmethod
    def _send(self, call: Call, *, nonce: Secret | None = None, repeat_in_doubt: bool = True) -> Secret:
        """Send a call."""

    def start_pipeline(
        self,
        pipeline_name: str,
        *,
        variables: object = None,
        source_revisions: object = None,
        client_request_token: str | None = None,
    ) -> str:
        """
        Start a pipeline, and return the id of the execution.

        :param pipeline_name: The pipeline.
        :param variables: A mapping of names to texts, or None: variables that the pipeline declares. At most
            50, each of 1 to 1000 characters.
        :param source_revisions: A list of mappings with ``action_name``, ``revision_type`` (COMMIT_ID,
            IMAGE_DIGEST, S3_OBJECT_VERSION_ID, S3_OBJECT_KEY) and ``revision_value``, or None. Without one, a
            source has its newest revision.
        :param client_request_token: 1 to 128 letters, digits and ``-``. The same token again starts no second
            execution; AWS does not publish for how long. If None, this call has a token of its own, so that
            its own repetitions start one execution.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises PipelineNotFound: There is no such pipeline.
        :raises RequestRefused: CodePipeline refused it, because of a variable that the pipeline does not
            declare for instance.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: StartPipelineExecution, CodePipeline API 2015-07-09.
        """
        call = pipeline_calls.start(
            pipeline_name,
            variables=pipeline_calls.read_variables(variables),
            source_revisions=pipeline_calls.read_source_revisions(source_revisions),
            client_request_token=client_request_token or str(uuid.uuid4()),
        )
        return str(self._send(call).get("pipelineExecutionId"))

    def stop_pipeline(
        self, pipeline_name: str, execution_id: str, *, abandon: bool = False, reason: str | None = None
    ) -> None:
        """
        Stop an execution. Nothing happens if it has ended, or is stopping already.

        :param pipeline_name: The pipeline.
        :param execution_id: The execution.
        :param abandon: Whether to abandon the actions that are in progress. If not, the execution stops when
            they have ended.
        :param reason: Why, for people, cut to 200 characters; or None.
        :raises PipelineNotFound: There is no such pipeline or execution.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: StopPipelineExecution, CodePipeline API 2015-07-09.
        """
        try:
            self._send(pipeline_calls.stop(pipeline_name, execution_id, abandon=abandon, reason=reason))
        except CodePipelineError as error:
            if error.code not in _STOPS_ANYWAY:
                raise

    def get_execution(self, pipeline_name: str, execution_id: str) -> PipelineExecution:
        """
        Return one execution of a pipeline.

        :raises PipelineNotFound: There is no such pipeline or execution.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: GetPipelineExecution, CodePipeline API 2015-07-09.
        """
        answer = self._send(pipeline_calls.execution(pipeline_name, execution_id))
        return PipelineExecution.from_api(pipeline_name, answer.get("pipelineExecution") or {})

    def pages_of_executions(self, pipeline_name: str) -> Iterator[list[PipelineExecution]]:
        """
        Yield the newest 1000 executions of a pipeline, the newest first: 100 at a time, with a call for each.

        :param pipeline_name: The pipeline.
        :raises PipelineNotFound: There is no such pipeline.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: ListPipelineExecutions, CodePipeline API 2015-07-09.
        """
        for answer in self._pages(lambda token: pipeline_calls.executions(pipeline_name, token)):
            yield [
                PipelineExecution.from_api(pipeline_name, members)
                for members in answer.get("pipelineExecutionSummaries") or ()
            ]

    def find_rollbacks(self, pipeline_name: str, target_execution_id: str) -> list[str]:
        """
        Return the ids of the executions that roll a stage back to what another execution has brought there.

        :param pipeline_name: The pipeline.
        :param target_execution_id: The other execution.
        :return: Those among the newest 100 executions, the newest first.
        :raises PipelineNotFound: There is no such pipeline.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: ListPipelineExecutions, CodePipeline API 2015-07-09.
        """
        answer = self._send(pipeline_calls.executions(pipeline_name))
        return [
            str(each.get("pipelineExecutionId"))
            for each in answer.get("pipelineExecutionSummaries") or ()
            if (each.get("rollbackMetadata") or {}).get("rollbackTargetPipelineExecutionId")
            == target_execution_id
        ]

    def get_action_executions(self, pipeline_name: str, execution_id: str) -> list[ActionExecution]:
        """
        Return the executions of the actions of one execution of a pipeline.

        :raises PipelineNotFound: There is no such pipeline or execution.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: ListActionExecutions, CodePipeline API 2015-07-09.
        """
        return [
            ActionExecution.from_api(members)
            for answer in self._pages(
                lambda token: pipeline_calls.action_executions(pipeline_name, execution_id, token)
            )
            for members in answer.get("actionExecutionDetails") or ()
        ]

    def get_newest_action_executions(
        self, pipeline_name: str, *, pages: int = 1
    ) -> dict[str, list[ActionExecution]]:
        """
        Return the newest executions of a pipeline's actions, by the id of the pipeline's execution.

        :param pipeline_name: The pipeline.
        :param pages: How many hundreds at most, up to 10.
        :raises PipelineNotFound: There is no such pipeline.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: ListActionExecutions, CodePipeline API 2015-07-09.
        """
        found: dict[str, list[ActionExecution]] = {}
        answers = self._pages(lambda token: pipeline_calls.action_executions(pipeline_name, None, token))
        for answer in islice(answers, pages):
            for members in answer.get("actionExecutionDetails") or ():
                found.setdefault(str(members.get("pipelineExecutionId")), []).append(
                    ActionExecution.from_api(members)
                )
        return found

    def _pages(self, ask: Callable[[str | None], Call]) -> Iterator[Any]:
        token: str | None = None
        for _ in range(MOST_PAGES):
            answer = self._send(ask(token))
            yield answer
            token = answer.get("nextToken")
            if not token:
                return

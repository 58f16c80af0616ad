# SPDX-License-Identifier: Apache-2.0
"""The hook's methods for the stages of pipelines: retry, roll back, approve, hold up, and new revisions."""

from __future__ import annotations

import hashlib
from datetime import datetime

from airflow_codepipeline_partner._pipeline_methods import PipelineMethods
from airflow_codepipeline_partner._protocol import approvals, pipeline_calls
from airflow_codepipeline_partner._protocol.approvals import Approval
from airflow_codepipeline_partner.exceptions import CodePipelineError

#: Refusals of an answer to an approval that mean that it has one.
_ANSWERED = ("ApprovalAlreadyCompletedException", "InvalidApprovalTokenException")
#: A refusal to override a condition that means that nothing is held up any more.
_PASSED = "ConditionNotOverridableException"


class StageMethods(PipelineMethods):
    """What a hook does with the stages of pipelines. It needs a hook that sends calls."""

    def retry_stage(
        self, pipeline_name: str, stage_name: str, execution_id: str, *, retry_mode: str = "FAILED_ACTIONS"
    ) -> None:
        """
        Have a stage that has failed run again, in the same execution.

        :param pipeline_name: The pipeline.
        :param stage_name: The stage.
        :param execution_id: The execution: the last one that came to the stage.
        :param retry_mode: ``FAILED_ACTIONS`` or ``ALL_ACTIONS``.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises PipelineNotFound: There is no such pipeline.
        :raises RequestRefused: There is no such stage, or it has not failed.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: RetryStageExecution, CodePipeline API 2015-07-09.
        """
        self._send(pipeline_calls.retry_stage(pipeline_name, stage_name, execution_id, retry_mode))

    def find_approval(
        self, pipeline_name: str, stage_name: str, action_name: str, execution_id: str | None = None
    ) -> Approval:
        """
        Return a manual approval. If it waits, it has a token.

        :param pipeline_name: The pipeline.
        :param stage_name: The approval's stage.
        :param action_name: The approval's action.
        :param execution_id: The execution whose approval it is. If None, the one that waits now. Needed if
            the pipeline's execution mode is PARALLEL.
        :raises PipelineNotFound: There is no such pipeline or execution.
        :raises RequestRefused: The pipeline has no such stage or action.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: GetPipelineState, ListActionExecutions, CodePipeline API 2015-07-09.
        """
        state = self._send(pipeline_calls.state(pipeline_name))
        found = approvals.in_state(state.get("stageStates") or (), stage_name, action_name)
        if execution_id is None or (found.token and found.execution_id == execution_id):
            return found
        # With the execution mode PARALLEL, the state says nothing of it.
        actions = self.get_action_executions(pipeline_name, execution_id)
        return approvals.among(actions, stage_name, action_name)

    def put_approval_result(
        self,
        pipeline_name: str,
        stage_name: str,
        action_name: str,
        *,
        token: str,
        status: str = "Approved",
        summary: str = "",
    ) -> None:
        """
        Approve, or reject.

        :param pipeline_name: The pipeline.
        :param stage_name: The approval's stage.
        :param action_name: The approval's action.
        :param token: The token of the approval that waits; see :meth:`find_approval`.
        :param status: ``Approved`` or ``Rejected``.
        :param summary: Why, for people, cut to 512 characters.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises RequestRefused: The approval has another token, or was answered before.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: PutApprovalResult, CodePipeline API 2015-07-09.
        """
        call = pipeline_calls.put_approval_result(
            pipeline_name, stage_name, action_name, status=status, summary=summary, token=token
        )
        try:
            self._send(call)
        except CodePipelineError as error:
            # The answer to an earlier attempt was lost.
            if not (error.in_doubt and error.code in _ANSWERED):
                raise

    def set_stage_transition(
        self,
        pipeline_name: str,
        stage_name: str,
        *,
        enabled: bool,
        transition_type: str = "Inbound",
        reason: str | None = None,
    ) -> None:
        """
        Let executions into a stage, or out of it; or hold them up there.

        :param pipeline_name: The pipeline.
        :param stage_name: The stage.
        :param enabled: Whether they pass.
        :param transition_type: ``Inbound`` or ``Outbound``.
        :param reason: Why they are held up: 1 to 300 letters, digits, spaces and ``! @ ( ) . * ? -``. Needed
            for that.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises RequestRefused: There is no such stage.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: EnableStageTransition, DisableStageTransition, CodePipeline API 2015-07-09.
        """
        self._send(
            pipeline_calls.set_transition(
                pipeline_name, stage_name, enabled=enabled, transition_type=transition_type, reason=reason
            )
        )

    def roll_back_stage(self, pipeline_name: str, stage_name: str, target_execution_id: str) -> str:
        """
        Roll a stage back to what an earlier execution has brought there; return the new execution's id.

        If the answer is lost, the call is not repeated, since that might roll back twice.

        :param pipeline_name: The pipeline.
        :param stage_name: The stage.
        :param target_execution_id: The execution whose revisions the stage gets back.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises PipelineNotFound: There is no such pipeline or execution.
        :raises RequestRefused: The stage cannot be rolled back to that, or there is no such stage.
        :raises ServiceUnavailable: CodePipeline did not answer. ``in_doubt`` says whether it may have begun.

        Source: RollbackStage, CodePipeline API 2015-07-09.
        """
        call = pipeline_calls.roll_back_stage(pipeline_name, stage_name, target_execution_id)
        return str(self._send(call, repeat_in_doubt=False).get("pipelineExecutionId"))

    def override_stage_condition(
        self, pipeline_name: str, stage_name: str, execution_id: str, *, condition_type: str
    ) -> None:
        """
        Let an execution pass a condition of a stage that is not met.

        :param pipeline_name: The pipeline.
        :param stage_name: The stage.
        :param execution_id: The execution that waits there.
        :param condition_type: ``BEFORE_ENTRY`` or ``ON_SUCCESS``.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises RequestRefused: No condition holds the execution up there, or there is no such stage.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: OverrideStageCondition, CodePipeline API 2015-07-09.
        """
        call = pipeline_calls.override_condition(
            pipeline_name, stage_name, execution_id, condition_type=condition_type
        )
        try:
            self._send(call)
        except CodePipelineError as error:
            # The answer to an earlier attempt was lost.
            if not (error.in_doubt and error.code == _PASSED):
                raise

    def put_action_revision(
        self,
        pipeline_name: str,
        stage_name: str,
        action_name: str,
        *,
        revision_id: str,
        created: datetime,
        revision_change_id: str | None = None,
    ) -> str:
        """
        Tell a custom source action of a new revision; return the id of the execution that this starts.

        :param pipeline_name: The pipeline.
        :param stage_name: The source's stage.
        :param action_name: The source's action.
        :param revision_id: The revision, 1 to 1500 characters.
        :param created: When it was made, with a time zone.
        :param revision_change_id: What changed it, 1 to 100 characters. If None, it is made of the revision.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises RequestRefused: There is no such stage or action, or it is not a custom source.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: PutActionRevision, CodePipeline API 2015-07-09.
        """
        call = pipeline_calls.put_action_revision(
            pipeline_name,
            stage_name,
            action_name,
            revision_id=revision_id,
            revision_change_id=revision_change_id or hashlib.sha256(revision_id.encode()).hexdigest(),
            created=created,
        )
        return str(self._send(call).get("pipelineExecutionId") or "")

# SPDX-License-Identifier: Apache-2.0
"""The operator that gives a custom source action a new revision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.operators.waiting_base import PipelineOperator


class CodePipelinePutActionRevisionOperator(PipelineOperator):
    """
    Tell a custom source action of a pipeline that there is a new revision. CodePipeline then starts it.

    The task returns the id of the execution that this starts. If CodePipeline knows the revision already,
    nothing is started, and the task returns what CodePipeline says.

    :param pipeline_name: The pipeline. (templated)
    :param stage_name: The source's stage. (templated)
    :param action_name: The source's action. Its owner is ``Custom``. (templated)
    :param revision_id: The revision, 1 to 1500 characters. (templated)
    :param revision_change_id: What changed it, such as the id of a commit, 1 to 100 characters. If None, it
        is made of the revision. (templated)

    Source: PutActionRevision, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = (
        "stage_name",
        "action_name",
        "revision_id",
        "revision_change_id",
        *PipelineOperator.template_fields,
    )

    def __init__(
        self,
        *,
        stage_name: str,
        action_name: str,
        revision_id: str,
        revision_change_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for field, value in (
            ("stageName", stage_name),
            ("actionName", action_name),
            ("actionRevision.revisionId", revision_id),
            ("actionRevision.revisionChangeId", revision_change_id),
        ):
            check_literal(partial(check_text, field), value)
        self.stage_name = stage_name
        self.action_name = action_name
        self.revision_id = revision_id
        self.revision_change_id = revision_change_id

    def execute(self, context: Any) -> str:
        """
        Tell CodePipeline of the revision.

        :raises RequestRefused: There is no such stage or action, or the action is not a custom source.
        :raises PipelineNotFound: There is no such pipeline.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        self.show_link(self.pipeline_name)
        with fail_without_retry_if_permanent():
            execution_id: str = self.hook.put_action_revision(
                self.pipeline_name,
                self.stage_name,
                self.action_name,
                revision_id=self.revision_id,
                revision_change_id=self.revision_change_id,
                created=datetime.now(UTC),
            )
        named = {"stage": self.stage_name, "action": self.action_name}
        with pipeline_fields(self.pipeline_name, execution_id, **named):
            self.log.info("Started %s, execution %s, by a revision.", self.pipeline_name, execution_id)
        return execution_id

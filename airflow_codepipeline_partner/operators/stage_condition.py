# SPDX-License-Identifier: Apache-2.0
"""The operator that lets an execution pass a condition of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.operators.waiting_base import PipelineOperator


class CodePipelineOverrideStageConditionOperator(PipelineOperator):
    """
    Let an execution pass a condition of a stage that is not met.

    :param pipeline_name: The pipeline. (templated)
    :param stage_name: The stage. (templated)
    :param execution_id: The execution that waits there. (templated)
    :param condition_type: ``BEFORE_ENTRY`` or ``ON_SUCCESS``.

    Source: OverrideStageCondition, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = ("stage_name", "execution_id", *PipelineOperator.template_fields)

    def __init__(self, *, stage_name: str, execution_id: str, condition_type: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "stageName"), stage_name)
        check_literal(partial(check_text, "pipelineExecutionId"), execution_id)
        check_text("conditionType", condition_type, named="condition_type")
        self.stage_name = stage_name
        self.execution_id = execution_id
        self.condition_type = condition_type

    def execute(self, context: Any) -> None:
        """
        Let the execution pass.

        :raises RequestRefused: No condition holds the execution up there, or there is no such stage.
        :raises PipelineNotFound: There is no such pipeline.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        self.show_link(self.pipeline_name)
        with fail_without_retry_if_permanent():
            self.hook.override_stage_condition(
                self.pipeline_name, self.stage_name, self.execution_id, condition_type=self.condition_type
            )
        with pipeline_fields(self.pipeline_name, self.execution_id, stage=self.stage_name):
            place = f"{self.pipeline_name} / {self.stage_name}"
            self.log.info("Overridden: the condition of %s, execution %s.", place, self.execution_id)

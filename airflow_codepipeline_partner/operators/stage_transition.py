# SPDX-License-Identifier: Apache-2.0
"""The operator that lets executions of a pipeline pass a transition between stages, or holds them up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators.waiting_base import PipelineOperator


class CodePipelineStageTransitionOperator(PipelineOperator):
    """
    Let executions into a stage of a pipeline, or out of it; or hold them up there.

    :param pipeline_name: The pipeline. (templated)
    :param stage_name: The stage. (templated)
    :param enabled: Whether executions pass.
    :param transition_type: ``Inbound`` (into the stage) or ``Outbound`` (out of it).
    :param reason: Why they are held up: 1 to 300 letters, digits, spaces and ``! @ ( ) . * ? -``. Required if
        ``enabled`` is False; otherwise not allowed. (templated)

    Source: EnableStageTransition, DisableStageTransition, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = ("stage_name", "reason", *PipelineOperator.template_fields)

    def __init__(
        self,
        *,
        stage_name: str,
        enabled: bool,
        transition_type: str = "Inbound",
        reason: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "stageName"), stage_name)
        check_text("transitionType", transition_type, named="transition_type")
        check_literal(partial(check_text, "transition.reason", named="reason"), reason)
        if enabled == (reason is not None):
            raise InvalidInput(
                "A reason is needed to hold executions up, and there is none to let them pass."
            )
        self.stage_name = stage_name
        self.enabled = enabled
        self.transition_type = transition_type
        self.reason = reason

    def execute(self, context: Any) -> None:
        """
        Let executions pass, or hold them up.

        :raises RequestRefused: There is no such stage.
        :raises PipelineNotFound: There is no such pipeline.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        self.show_link(self.pipeline_name)
        with fail_without_retry_if_permanent():
            self.hook.set_stage_transition(
                self.pipeline_name,
                self.stage_name,
                enabled=self.enabled,
                transition_type=self.transition_type,
                reason=self.reason,
            )
        with pipeline_fields(self.pipeline_name, stage=self.stage_name):
            what = "Opened" if self.enabled else "Closed"
            place = f"{self.pipeline_name} / {self.stage_name}"
            self.log.info("%s: %s, %s transition.", what, place, self.transition_type)

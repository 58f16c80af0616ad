# SPDX-License-Identifier: Apache-2.0
"""The executions for which a run was started: from an asset's events, or from the run's conf."""

from __future__ import annotations

from airflow_codepipeline_partner._protocol.executions import PipelineExecution
from airflow_codepipeline_partner._worker.run_events import RunEvents
from airflow_codepipeline_partner.exceptions import InvalidInput

EXECUTIONS = RunEvents(
    member="executions",
    one="execution of a pipeline",
    maker="codepipeline_events",
    by_hand='{"pipeline_name": …, "pipeline_execution_id": …, "status": "Succeeded"}',
    read=PipelineExecution.from_event,
    id_of=lambda execution: execution.execution_id,
    error=InvalidInput,
)

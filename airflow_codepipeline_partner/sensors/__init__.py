# SPDX-License-Identifier: Apache-2.0
"""The sensors: wait for jobs, for the work of another system, and for the end of a pipeline's execution."""

from __future__ import annotations

from airflow_codepipeline_partner.sensors.execution import CodePipelineExecutionSensor
from airflow_codepipeline_partner.sensors.job import CodePipelineJobSensor
from airflow_codepipeline_partner.sensors.progress import CodePipelineJobProgressSensor

__all__ = ["CodePipelineExecutionSensor", "CodePipelineJobProgressSensor", "CodePipelineJobSensor"]

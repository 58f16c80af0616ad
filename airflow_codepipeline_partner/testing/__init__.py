# SPDX-License-Identifier: Apache-2.0
"""
Test your own DAGs without an AWS account: an emulated CodePipeline, and DAG runs in the test's process.

With pytest, ask for the fixture ``codepipeline``; elsewhere, use :class:`CodePipeline` as a context manager.
It needs the extra ``local``. In a checkout of the package: ``pip install '.[local]'``.
"""

from __future__ import annotations

from airflow_codepipeline_partner.testing.codepipeline import CodePipeline
from airflow_codepipeline_partner.testing.dag_runs import Run
from airflow_codepipeline_partner.testing.faults import Faults
from airflow_codepipeline_partner.testing.files import OutputArtifact
from airflow_codepipeline_partner.testing.queued_job import QueuedJob
from airflow_codepipeline_partner.testing.started_pipeline import Pipeline

__all__ = ["CodePipeline", "Faults", "OutputArtifact", "Pipeline", "QueuedJob", "Run"]

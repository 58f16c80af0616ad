# SPDX-License-Identifier: Apache-2.0
"""DAGs that are ready to be used: one that runs other DAGs as steps of pipelines."""

from __future__ import annotations

from airflow_codepipeline_partner.dags.run_dag_step import run_dag_step

__all__ = ["run_dag_step"]

# SPDX-License-Identifier: Apache-2.0
"""A pipeline that is watched, and a run for each of its ends."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_codepipeline_partner.assets import codepipeline_events, ended_executions

ENDS = codepipeline_events("watched_ends", "watched", ("Succeeded", "Failed"), poll_interval=1)

with DAG("hears_of_ends", schedule=[ENDS], max_active_runs=16):

    @task
    def ended():
        return [each["pipeline_execution_id"] for each in ended_executions()]

    ended()

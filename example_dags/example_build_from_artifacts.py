# SPDX-License-Identifier: Apache-2.0
"""
Artifacts: test the job's input artifact, and upload what was built as its output artifact.

The task reads and writes the artifacts with the job's own credentials, in a folder that is removed
afterwards. The customer can read the outcome of the tests, and what is wrong with an artifact, in the
pipeline. ``example_one_run_per_job`` starts the runs.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job


@dag(
    schedule=None,
    params={
        "action_type": Param(
            {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
    },
    max_active_runs=16,
    dagrun_timeout=timedelta(minutes=50),
    on_failure_callback=CodePipelineJobFailureNotifier(aws_conn_id="{{ params.aws_conn_id }}"),
    tags=["codepipeline"],
)
def example_build_from_artifacts() -> None:
    claim = CodePipelineClaimJobOperator(
        task_id="claim",
        job="{{ dag_run.conf | tojson }}",
        aws_conn_id="{{ params.aws_conn_id }}",
    )

    @task
    def build(job: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        from airflow_codepipeline_partner.artifacts import Workspace

        hook = CodePipelineHook(aws_conn_id=params["aws_conn_id"])
        with Workspace(job, hook) as workspace:
            source = workspace.extract()
            # This is the customer's code. Here it runs as the worker's own user and can read what the worker
            # can: in production run it in a container (DockerOperator, KubernetesPodOperator).
            log = workspace.path / "tests.log"
            with log.open("w") as output:
                tests = subprocess.run(
                    [sys.executable, "-m", "unittest", "discover", "--verbose"],
                    cwd=source,
                    env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
                    # A task's own stdin leads to Airflow.
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=600,
                )
            said = log.read_text(errors="replace")[-10_000:].strip()
            print(said)
            result = said.rpartition("\n")[2]
            if tests.returncode != 0:
                raise JobFailure(f"The tests of the source artifact failed: {result}.")
            # The same source makes the same bytes, and so the same revision.
            archive = workspace.pack(source)
            with archive.open("rb") as packed:
                revision = hashlib.file_digest(packed, "sha256").hexdigest()
            workspace.upload(None, archive)
        return {
            "revision": revision,
            "change_identifier": job["job_id"],
            "revision_summary": f"Tests: {result}",
        }

    finish_job(
        claim,
        current_revision=build(claim.output),
        execution_details={"summary": "Tested and built by Airflow.", "percent_complete": 100},
        # Without its artifact, the next action of the pipeline would fail.
        missing_outputs="fail",
    )


example_build_from_artifacts()

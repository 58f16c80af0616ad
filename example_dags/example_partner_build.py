# SPDX-License-Identifier: Apache-2.0
"""
A small build: test the source artifact, hand on what was built; ``example_partner_worker`` starts the runs.

The artifacts are read and written with the job's own credentials, in a folder that is removed afterwards.
What the tests say, and what is wrong with an artifact, the customer reads in the pipeline.
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
def example_partner_build() -> None:
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
            # The customer's code. Here it is a process of the worker's own user, which can read what the
            # worker can: in earnest give it a container, with DockerOperator or KubernetesPodOperator.
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
            "changeIdentifier": job["job_id"],
            "revisionSummary": f"Tests: {result}",
        }

    finish_job(
        claim,
        current_revision=build(claim.output),
        execution_details={"summary": "Tested and built by Airflow.", "percentComplete": 100},
    )


example_partner_build()

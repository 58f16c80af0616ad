# SPDX-License-Identifier: Apache-2.0
"""DAGs that start a pipeline and wait for it in the triggerer, while others act on it and on the task."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.operators import CodePipelineStartPipelineOperator


def die_once_started(context: Any) -> None:
    """Have the first try die as soon as its pipeline runs, as by the kernel's out-of-memory killer."""
    send, is_first = Transport.send, context["ti"].try_number == 1

    def dying(self: Transport, call: Any, *args: Any, **kwargs: Any) -> Any:
        answer = send(self, call, *args, **kwargs)
        if is_first and call.operation == "StartPipelineExecution":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    Transport.send = dying


for dag_id, stop, seconds, before in (
    ("waits_for_pipeline", False, 1, None),
    ("waits_with_a_late_retry", False, 30, None),
    ("stops_pipeline_if_killed", "abandon", 1, None),
    ("dies_once_started", False, 1, die_once_started),
):
    with DAG(dag_id, schedule=None):
        CodePipelineStartPipelineOperator(
            task_id="start",
            pipeline_name="{{ dag_run.conf['pipeline'] }}",
            stop_pipeline_on_kill=stop,
            # Airflow 3.1 fails a task that goes on before the scheduler has seen that it was deferred.
            waiter_delay=5,
            deferrable=True,
            retries=1,
            retry_delay=timedelta(seconds=seconds),
            pre_execute=before,
        )

# SPDX-License-Identifier: Apache-2.0
"""The operator that starts a pipeline, and waits for the end of the execution."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._compat import task_state_store
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner.operators.waiting_base import WaitingOperator

#: Under this key a task notes, where a retry finds it, which execution it has started.
_STARTED_KEY = "codepipeline_started"


class CodePipelineStartPipelineOperator(WaitingOperator):
    """
    Start a pipeline, and wait until the execution has ended.

    The task returns the execution's id. If it has waited, it also leaves a mapping in XCom under
    ``pipeline_execution``: ``pipeline_name``, ``pipeline_execution_id``, ``status``, ``status_summary`` and
    ``failed_actions``, each with ``stage_name``, ``action_name``, ``error_code`` and ``error_message``. The
    task's log shows what the actions do while it waits.

    A retry goes on with the execution that an earlier try has started. It never starts a second one. So if
    the execution has failed, a retry helps only if somebody has retried the stage meanwhile. To start the
    pipeline again, clear the task. From Airflow 3.3 on, the task notes the execution where a retry finds it;
    before that, and if the worker dies before it can note it, CodePipeline knows the task by
    ``client_request_token``. AWS does not publish how long it remembers a token.

    :param pipeline_name: The pipeline. (templated)
    :param variables: A mapping of names to texts, or None: variables that the pipeline declares, at most 50,
        each of 1 to 1000 characters. They are no place for secrets. (templated)
    :param source_revisions: A list of mappings with ``action_name``, ``revision_type`` (COMMIT_ID,
        IMAGE_DIGEST, S3_OBJECT_VERSION_ID, S3_OBJECT_KEY) and ``revision_value``, or None. (templated)
    :param client_request_token: 1 to 128 letters, digits and ``-``. The same token again starts no second
        execution. If None, it is made of the task instance: the same for each of its retries, another one
        after a clear. (templated)
    :param wait_for_completion: Whether to wait. If not, the task ends when the execution has started.
    :param deferrable: Wait in the triggerer, without a worker slot. If None, Airflow's ``[operators]
        default_deferrable`` is used.
    :param waiter_delay: Seconds between two looks, more than 0.
    :param waiter_max_attempts: How many looks at most, at least 1; with ``waiter_delay``, how long to wait.
        The default is a week, as long as a manual approval may wait. Then the task fails, and the execution
        goes on.
    :param stop_pipeline_on_kill: Whether to stop the execution if somebody ends the task: ``wait`` (or True)
        stops it when its actions in progress have ended, ``abandon`` at once. While the task is deferred,
        this works from Airflow 3.3 on.
    :param fail_on_superseded: Whether the task fails if a newer execution has overtaken this one. If not, it
        succeeds, and ``status`` is ``Superseded``.

    Source: StartPipelineExecution, GetPipelineExecution, ListPipelineExecutions, ListActionExecutions,
    StopPipelineExecution, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = (
        "variables",
        "source_revisions",
        "client_request_token",
        *WaitingOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"variables": "json", "source_revisions": "json"}

    def __init__(
        self,
        *,
        variables: Any = None,
        source_revisions: Any = None,
        client_request_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check(variables, source_revisions, client_request_token)
        self.variables = variables
        self.source_revisions = source_revisions
        self.client_request_token = client_request_token

    def set_going(self, context: Any) -> str:
        """Return the id of the execution that this try, or an earlier one, has started."""
        from airflow_codepipeline_partner import _metrics

        token = self.client_request_token or token_of(context)
        store = task_state_store(context)
        note = (store.get(_STARTED_KEY) if store is not None else None) or {}
        if note.get("token") == token and note.get("pipeline_name") == self.pipeline_name:
            with pipeline_fields(self.pipeline_name, note["execution_id"]):
                self.log.info(
                    "Started %s by an earlier try, execution %s.", self.pipeline_name, note["execution_id"]
                )
            return str(note["execution_id"])
        execution_id = self.hook.start_pipeline(
            self.pipeline_name,
            variables=self.variables,
            source_revisions=self.source_revisions,
            client_request_token=token,
        )
        if store is not None:
            started = {"token": token, "pipeline_name": self.pipeline_name, "execution_id": execution_id}
            store.set(_STARTED_KEY, started)
        if store is not None or context["ti"].try_number == 1:
            # Otherwise, an earlier try may have started it.
            _metrics.count(_metrics.EXECUTIONS_STARTED, pipeline=self.pipeline_name)
        with pipeline_fields(self.pipeline_name, execution_id):
            self.log.info("Started %s, execution %s.", self.pipeline_name, execution_id)
        return execution_id


def token_of(context: Any) -> str:
    """
    Return a token for StartPipelineExecution: one for a task instance and all its retries.

    Two Airflows may have the same DAG, and runs with the same ids. When the run began tells them apart. A
    clear raises ``max_tries``, a retry does not.

    :param context: The task's context.
    """
    ti, run = context["ti"], context.get("dag_run")
    began = getattr(run, "start_date", None)
    facts = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.max_tries, str(began))
    return f"airflow-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"


def _check(variables: Any, source_revisions: Any, token: Any) -> None:
    """Check the arguments as far as they are known at construction."""
    if variables is source_revisions is token is None:
        return
    from airflow_codepipeline_partner._protocol.parsing import check_text
    from airflow_codepipeline_partner._protocol.pipeline_calls import read_source_revisions, read_variables

    check_literal(lambda text: check_text("clientRequestToken", text), token)
    named = variables if isinstance(variables, Mapping) else {}
    check_literal(read_variables, variables, **dict.fromkeys(map(str, named), "x"))
    check_literal(read_source_revisions, source_revisions)

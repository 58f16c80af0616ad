# SPDX-License-Identifier: Apache-2.0
"""The operator that rolls a stage of a pipeline back to what an earlier execution has brought there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._compat import task_state_store
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import ServiceUnavailable
from airflow_codepipeline_partner.operators.waiting_base import WaitingOperator

#: Under this key a task notes, where a retry finds it, which rollbacks there were before its own.
_ROLLBACK_KEY = "codepipeline_rollback"


class CodePipelineRollbackStageOperator(WaitingOperator):
    """
    Roll a stage back to what an earlier execution has brought there, and wait until that is done.

    CodePipeline makes a new execution, of the type ``ROLLBACK``, in this stage only. The task returns its id.
    If it has waited, it leaves the execution in XCom under ``pipeline_execution``. No token tells
    CodePipeline that a call is a repetition. So if an answer is lost, the task looks for a rollback that was
    not there before. From Airflow 3.3 on, a retry does so, too.

    :param pipeline_name: The pipeline. (templated)
    :param stage_name: The stage. (templated)
    :param target_execution_id: The execution whose revisions the stage gets back. It succeeded there, with
        the pipeline's present structure. (templated)
    :param wait_for_completion: Whether to wait. If not, the task ends when the rollback goes.
    :param deferrable: Wait in the triggerer, without a worker slot. If None, Airflow's ``[operators]
        default_deferrable`` is used.
    :param waiter_delay: Seconds between two looks, more than 0.
    :param waiter_max_attempts: How many looks at most, at least 1; with ``waiter_delay``, how long to wait.
        The default is a week. Then the task fails, and the rollback goes on.
    :param stop_pipeline_on_kill: Whether to stop the rollback if somebody ends the task: ``wait`` (or True)
        stops it when its actions in progress have ended, ``abandon`` at once. While the task is deferred,
        this works from Airflow 3.3 on.
    :param fail_on_superseded: Whether the task fails if a newer execution has overtaken this one.

    Source: RollbackStage, ListPipelineExecutions, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = ("stage_name", "target_execution_id", *WaitingOperator.template_fields)

    def __init__(self, *, stage_name: str, target_execution_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "stageName"), stage_name)
        check_literal(
            partial(check_text, "pipelineExecutionId", named="target_execution_id"), target_execution_id
        )
        self.stage_name = stage_name
        self.target_execution_id = target_execution_id

    def set_going(self, context: Any) -> str:
        """Return the id of the rollback that this try, or an earlier one, has started."""
        store, asked_for = task_state_store(context), [self.pipeline_name, self.stage_name]
        asked_for += [self.target_execution_id, context["ti"].max_tries]
        note = (store.get(_ROLLBACK_KEY) if store is not None else None) or {}
        if note.get("asked_for") == asked_for:
            known, is_repeated = note["known"], True
        else:
            known, is_repeated = self._rollbacks(), False
            if store is not None:
                store.set(_ROLLBACK_KEY, {"asked_for": asked_for, "known": known})
        if is_repeated and (ours := self._new_one(known)):
            self._log("Rolled back by an earlier try", ours)
            return ours
        try:
            execution_id: str = self.hook.roll_back_stage(
                self.pipeline_name, self.stage_name, self.target_execution_id
            )
        except ServiceUnavailable as error:
            ours = self._new_one(known) if error.in_doubt else None
            if ours is None:
                raise
            execution_id = ours
        self._log("Rolled back", execution_id)
        return execution_id

    def _log(self, what: str, execution_id: str) -> None:
        with pipeline_fields(self.pipeline_name, execution_id, stage=self.stage_name):
            place = f"{self.pipeline_name} / {self.stage_name}"
            self.log.info("%s: %s, by execution %s.", what, place, execution_id)

    def _rollbacks(self) -> list[str]:
        found: list[str] = self.hook.find_rollbacks(self.pipeline_name, self.target_execution_id)
        return found

    def _new_one(self, known: Sequence[str]) -> str | None:
        """Return the first rollback of this stage that was not there before, or None."""
        for each in reversed(self._rollbacks()):
            if each not in known:
                actions = self.hook.get_action_executions(self.pipeline_name, each)
                # Without any, it has just begun. Rather wait for another stage's than roll back twice.
                if not actions or any(action.stage_name == self.stage_name for action in actions):
                    return each
        return None

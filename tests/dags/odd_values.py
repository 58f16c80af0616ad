# SPDX-License-Identifier: Apache-2.0
"""Runs in whose XCom, or texts, there is something odd."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from airflow_codepipeline_partner._compat import XCom
from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

#: A file name in another encoding, as Python decodes it.
NAME = b"\xe9t\xe9".decode("utf-8", "surrogateescape")


def claim(
    name: str = "claim", job: str = "job", filters: str = "", **more: Any
) -> CodePipelineClaimJobOperator:
    given = f"{{{{ dag_run.conf['{job}']{filters} }}}}"
    return CodePipelineClaimJobOperator(task_id=name, job=given, **more)


with DAG("edited", schedule=None, render_template_as_native_obj=True):

    @task
    def edit(job: Any, ti: Any = None, dag_run: Any = None) -> None:
        """Do what a person may do to a task's XCom."""
        wanted = dag_run.conf["edit"]
        names = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": wanted["task"], "map_index": -1}
        value = wanted.get("value")
        if "members" in wanted:
            value = {**XCom.get_one(key=wanted["key"], **names), **wanted["members"]}
        XCom.set(key=wanted["key"], value=value, **names)
        if dag_run.conf.get("fail"):
            raise ValueError("failed")

    claimed = claim()
    edit(claimed.output)
    finish_job(claimed)


@task
def work(job: Any, how: str = "succeed") -> None:
    """Stand for the work."""
    if how == "fail":
        raise ValueError("failed")
    if how == "words":
        raise JobFailure(f"No such file: {NAME}")


with DAG("odd_summary", schedule=None, user_defined_macros={"name": NAME}):
    claimed = claim(filters=" | tojson")
    work(claimed.output)
    finish_job(claimed, execution_details={"summary": "{{ name }}"})

with DAG("odd_message", schedule=None, user_defined_macros={"name": NAME}):
    claimed = claim(filters=" | tojson")
    work(claimed.output, "fail")
    finish_job(claimed, failure_message="{{ name }}")

with DAG("odd_words", schedule=None, render_template_as_native_obj=True):
    claimed = claim()
    work(claimed.output, "words")
    finish_job(claimed)

with DAG("one_after_the_other", schedule=None, render_template_as_native_obj=True):
    claimed = claim()
    work(claimed.output, "words")
    other = claim("other", "other", trigger_rule="all_done")
    finished = finish_job(claimed)
    finished >> other
    work.override(task_id="other_work")(other.output)
    # After both, so that either of them makes the run red.
    [finished, finish_job(other, task_id="finish_other")] >> EmptyOperator(task_id="end")

with DAG("mapped_without_an_end", schedule=None, render_template_as_native_obj=True):

    @task
    def jobs(dag_run: Any = None) -> list[Any]:
        return list(dag_run.conf["jobs"])

    mapped = CodePipelineClaimJobOperator.partial(task_id="claim").expand(job=jobs())
    mapped >> work.override(task_id="work")(None)

# SPDX-License-Identifier: Apache-2.0
"""
What the DAG processor pays for a DAG of 100 tasks: making it, and serializing it.

For single tasks, calls of functions are counted: that is where the time goes, and it is always the same.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.apart import run_apart
from benchmarks.figures import Figure, Point

_GROUPS = 20


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    found = run_apart(_compare, 5 if short else 25)
    return [
        Figure(
            name=name,
            what=f"{verb} a DAG of 100 tasks: sensors, claims, downloads, uploads, finish_job",
            against="100 EmptyOperators in the same shape",
            unit="ms of CPU",
            points=[Point(*found[name])],
            at_most=1.3,
            alarm=alarm,
        )
        for name, verb, alarm in (
            ("constructing", "making", 5.0),
            ("serializing", "serializing", 5.0),
        )
    ] + _counted()


def _counted() -> list[Figure]:
    found = run_apart(_count)
    return [
        Figure(
            name=f"{name}-calls",
            what=f"{verb} one task, counted in calls of functions",
            against="an EmptyOperator",
            unit="calls",
            points=[Point([calls], [found["EmptyOperator"][name]], at) for at, calls in _column(found, name)],
            axis="task",
        )
        for name, verb in (("constructing", "making"), ("serializing", "serializing"))
    ]


def _column(found: Mapping[str, Mapping[str, float]], name: str) -> list[tuple[str, float]]:
    return [(kind, counts[name]) for kind, counts in found.items() if kind != "EmptyOperator"]


def _compare(rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    serialize = _serializer()
    makers = (our_dag, empty_dag)
    found: dict[str, tuple[list[float], list[float]]] = {"constructing": ([], []), "serializing": ([], [])}
    for make in makers:
        serialize(make())
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        for whose in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()
            dag = makers[whose]()
            made = time.process_time()
            serialize(dag)
            found["constructing"][whose].append((made - began) * 1000)
            found["serializing"][whose].append((time.process_time() - made) * 1000)
    return found


def _count() -> dict[str, dict[str, int]]:
    from airflow.sdk import DAG

    serialize = _serializer()
    found = {}
    with DAG("without_a_task", schedule=None) as empty:
        pass
    serialize(empty)
    for kind, make in _makers().items():
        # Once before, for what is remembered from then on.
        for _ in range(2):
            with DAG("benchmark", schedule=None) as dag:
                made = _calls(make)
            serialized = _calls(lambda: serialize(dag)) - _calls(lambda: serialize(empty))
        found[kind] = {"constructing": made, "serializing": serialized}
    return found


def _calls(function: Callable[[], Any]) -> int:
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def _makers() -> dict[str, Callable[[], Any]]:
    """Return what makes a task: of Airflow's own classes, of another provider's, and of ours."""
    from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import BaseSensorOperator

    from airflow_codepipeline_partner import operators
    from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

    class Subclass(EmptyOperator):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    return {
        "EmptyOperator": lambda: EmptyOperator(task_id="one"),
        "subclass": lambda: Subclass(task_id="one"),
        "base sensor": lambda: BaseSensorOperator(task_id="one"),
        "amazon's SQS": lambda: SqsPublishOperator(
            task_id="one", sqs_queue="queue", message_content="message"
        ),
        "claim": lambda: operators.CodePipelineClaimJobOperator(task_id="one", job="{{ dag_run.conf }}"),
        "upload": lambda: operators.CodePipelineUploadArtifactsOperator(
            task_id="one", job="{{ dag_run.conf }}", artifacts={"Built": "{{ run_id }}/built"}
        ),
        "sensor": lambda: CodePipelineJobSensor(
            task_id="one", action_type="Deploy/ThirdParty/Example/1", deferrable=True
        ),
    }


def _serializer() -> Callable[[Any], Any]:
    serialized_objects: Any = importlib.import_module("airflow.serialization.serialized_objects")
    # Its name until Airflow 3.1.
    kind = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    serialize: Callable[[Any], Any] = kind.to_dict
    return serialize


def our_dag() -> Any:
    """Make a DAG of 100 tasks of this package."""
    from airflow.sdk import DAG

    from airflow_codepipeline_partner import operators
    from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

    with DAG("benchmark", schedule=None) as dag:
        for number in range(_GROUPS):
            wait = CodePipelineJobSensor(
                task_id=f"wait_{number}", action_type="Deploy/ThirdParty/Example/1", deferrable=True
            )
            claim = operators.CodePipelineClaimJobOperator(task_id=f"claim_{number}", job=wait.output)
            download = operators.CodePipelineDownloadArtifactsOperator(
                task_id=f"download_{number}", job=claim.output, destination="s3://bucket/{{ run_id }}"
            )
            upload = operators.CodePipelineUploadArtifactsOperator(
                task_id=f"upload_{number}", job=claim.output, artifacts={"Built": "{{ run_id }}/built"}
            )
            download >> upload
            operators.finish_job(claim, task_id=f"finish_{number}")
    return dag


def empty_dag() -> Any:
    """Make a DAG of the same shape, of Airflow's own tasks that do nothing."""
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG

    with DAG("benchmark", schedule=None) as dag:
        for number in range(_GROUPS):
            wait, claim, download, upload, finish = (
                EmptyOperator(task_id=f"{name}_{number}")
                for name in ("wait", "claim", "download", "upload", "finish")
            )
            wait >> claim >> download >> upload >> finish
            claim >> upload
            finish.as_teardown()
    return dag

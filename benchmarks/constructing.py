# SPDX-License-Identifier: Apache-2.0
"""What the DAG processor pays for a DAG of 100 tasks: making it, and serializing it."""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable
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
    ]


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

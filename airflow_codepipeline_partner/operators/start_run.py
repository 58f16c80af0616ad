# SPDX-License-Identifier: Apache-2.0
"""The operator with which ``assets.dispatch_jobs`` starts a run for a job."""

from __future__ import annotations

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

__all__: list[str] = []


class StartRunOperator(TriggerDagRunOperator):
    """Start a run without rendering its conf: a job has a customer's texts, which may look like templates."""

    template_fields = tuple(name for name in TriggerDagRunOperator.template_fields if name != "conf")

# SPDX-License-Identifier: Apache-2.0
"""What sensors have in common that wait in the triggerer."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseSensorOperator

from airflow_codepipeline_partner._base_operator import CodePipelineBaseOperator
from airflow_codepipeline_partner._compat import AirflowSensorTimeout, failed_wait


class TriggererSensor(CodePipelineBaseOperator, BaseSensorOperator):
    """A sensor that fails if its wait did not take place: that says nothing about what it waits for."""

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """
        Go on after a deferral.

        :raises AirflowSensorTimeout: No triggerer looked at the wait, whatever ``soft_fail`` and
            ``never_fail`` say. As at each timeout, there is no retry.
        :raises RuntimeError: The triggerer could not wait: for instance, it cannot import this package.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            kind = failed_wait(error)
            if kind is None:
                raise
        if kind == "timeout":
            raise AirflowSensorTimeout(
                "No triggerer looked at this wait until its time was over, so it is not known whether there "
                "was anything. Check that a triggerer runs."
            )
        raise RuntimeError(
            "The triggerer could not wait, so it is not known whether there was anything. Its log says why. "
            "Check that this package is installed there, too."
        )

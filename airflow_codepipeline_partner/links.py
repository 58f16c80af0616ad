# SPDX-License-Identifier: Apache-2.0
"""The link from a task to the pipeline in the AWS console."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["CodePipelineExecutionLink", "CodePipelineLink", "execution_url", "pipeline_url"]

#: AWS partition → its console's domain.
CONSOLE_DOMAINS = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_REGION = re.compile("[a-z0-9-]+")


def pipeline_url(partition: str, region_name: str, pipeline_name: str) -> str:
    """
    Return a pipeline's address in the AWS console, or an empty string if it has no address there.

    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    :param region_name: The pipeline's region.
    :param pipeline_name: The pipeline's name.
    """
    return _console_url(partition, region_name, f"{quote(pipeline_name, safe='')}/view")


def execution_url(partition: str, region_name: str, pipeline_name: str, execution_id: str) -> str:
    """
    Return the address of a pipeline's execution in the AWS console, or an empty string if there is none.

    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    :param region_name: The pipeline's region.
    :param pipeline_name: The pipeline's name.
    :param execution_id: The execution's id.
    """
    path = f"{quote(pipeline_name, safe='')}/executions/{quote(execution_id, safe='')}/visualization"
    return _console_url(partition, region_name, path)


def _console_url(partition: str, region_name: str, path: str) -> str:
    domain = CONSOLE_DOMAINS.get(partition)
    # It becomes a part of the host's name.
    if domain is None or not _REGION.fullmatch(region_name):
        return ""
    # Only the commercial console has a host for each region.
    host = f"{region_name}.{domain}" if partition == "aws" else domain
    return f"https://{host}/codesuite/codepipeline/pipelines/{path}?region={quote(region_name, safe='')}"


class CodePipelineLink(BaseOperatorLink):
    """Link a task to the customer's pipeline in the AWS console of the customer's account."""

    name = "CodePipeline"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the address that the task found while it ran, or an empty string.

        Airflow calls this as the task ends, in the task's own process, and stores the result.

        :param operator: The task.
        :param ti_key: The task instance.
        """
        return getattr(operator, "pipeline_url", None) or ""


class CodePipelineExecutionLink(BaseOperatorLink):
    """Link a task to the execution that it started, or waited for, in the AWS console."""

    name = "Pipeline execution"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the address that the task found while it ran, or an empty string.

        :param operator: The task.
        :param ti_key: The task instance.
        """
        return getattr(operator, "execution_url", None) or ""

# SPDX-License-Identifier: Apache-2.0
"""The link from a task to the pipeline in the AWS console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["CodePipelineLink", "pipeline_url"]

#: AWS partition → its console's domain.
CONSOLE_DOMAINS = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def pipeline_url(partition: str, region_name: str, pipeline_name: str) -> str:
    """
    Return a pipeline's address in the AWS console, or an empty string if its partition has none.

    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    :param region_name: The pipeline's region.
    :param pipeline_name: The pipeline's name.
    """
    domain = CONSOLE_DOMAINS.get(partition)
    if domain is None:
        return ""
    # Only the commercial console has a host for each region.
    host = f"{region_name}.{domain}" if partition == "aws" else domain
    name = quote(pipeline_name, safe="")
    return f"https://{host}/codesuite/codepipeline/pipelines/{name}/view?region={quote(region_name, safe='')}"


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

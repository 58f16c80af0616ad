# SPDX-License-Identifier: Apache-2.0
"""The link from a task to the pipeline in the AWS console."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_codepipeline_partner._compat import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

log = logging.getLogger(__name__)

#: XCom key of the link's address.
LINK_KEY = "codepipeline_link"
#: AWS partition → the domain of its console.
CONSOLE_DOMAINS = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def pipeline_url(partition: str, region_name: str, pipeline_name: str) -> str:
    """
    Return the address of a pipeline in the AWS console, or an empty text where the partition has none.

    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    :param region_name: The pipeline's region.
    :param pipeline_name: The pipeline's name.
    """
    domain = CONSOLE_DOMAINS.get(partition)
    if domain is None:
        return ""
    # Only the commercial console has a host per region.
    host = f"{region_name}.{domain}" if partition == "aws" else domain
    name = quote(pipeline_name, safe="")
    return f"https://{host}/codesuite/codepipeline/pipelines/{name}/view?region={quote(region_name, safe='')}"


def remember_link(context: Mapping[str, Any], location: tuple[str, str], pipeline_name: str | None) -> None:
    """
    Have the task's page show the link.

    :param context: The task's context.
    :param location: Partition and region.
    :param pipeline_name: The pipeline, or None where the job's details named none.
    """
    if pipeline_name and (url := pipeline_url(*location, pipeline_name)):
        context["ti"].xcom_push(key=LINK_KEY, value=url)


class CodePipelineLink(BaseOperatorLink):
    """Lead from a task to the customer's pipeline in the AWS console (of the customer's account)."""

    name = "CodePipeline"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the address, or an empty text where there is none.

        :param operator: The task.
        :param ti_key: The task instance.
        """
        try:
            return XCom.get_value(key=LINK_KEY, ti_key=ti_key) or ""
        except Exception:
            # A link is an extra: it never fails a task.
            log.warning("The link to CodePipeline could not be read.", exc_info=True)
            return ""

# SPDX-License-Identifier: Apache-2.0
"""The provider's registration. Airflow imports it at every start, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner import __version__

_INTEGRATION = "AWS CodePipeline partner"
_PACKAGE = "airflow_codepipeline_partner"

#: The type of a client's connection.
CLIENT_CONN_TYPE = "codepipeline_partner_client"
#: The form of a client's connection. From 3.2 on Airflow reads it here, 3.1 from the hook.
CLIENT_FORM: dict[str, Any] = {
    "hidden-fields": ["host", "port", "schema", "extra"],
    "relabeling": {"login": "Client ID", "password": "Client token"},
    "placeholders": {
        "login": "the client id that CodePipeline sent the customer with",
        "password": "the client token that came with it",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's registration."""
    return {
        "package-name": "airflow-codepipeline-partner",
        "name": _INTEGRATION,
        "description": "Makes Airflow an AWS CodePipeline job worker: DAGs take the jobs of partner actions, "
        "work on them and end each with exactly one result.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.aws.amazon.com/codepipeline/latest/APIReference/",
                "tags": ["aws"],
            }
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [f"{_PACKAGE}.hooks", f"{_PACKAGE}.client_tokens"],
            }
        ],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.operators"]}],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.sensors"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.triggers"]}],
        "connection-types": [
            {
                "connection-type": CLIENT_CONN_TYPE,
                "hook-class-name": f"{_PACKAGE}.client_tokens.ClientTokenHook",
                "hook-name": "CodePipeline partner client",
                "ui-field-behaviour": CLIENT_FORM,
                "conn-fields": {},
            }
        ],
        "task-decorators": [
            {"class-name": f"{_PACKAGE}.decorators.codepipeline_job_task", "name": "codepipeline_job"}
        ],
        "notifications": [f"{_PACKAGE}.notifications.CodePipelineJobFailureNotifier"],
        "extra-links": [
            f"{_PACKAGE}.links.CodePipelineLink",
            f"{_PACKAGE}.links.CodePipelineExecutionLink",
        ],
        # Airflow 3.1 has no provider commands, and ignores this.
        "cli": [f"{_PACKAGE}.cli.get_airflow_commands"],
    }

# SPDX-License-Identifier: Apache-2.0
"""How the id of a client's Airflow connection is made from its client id."""

from __future__ import annotations

from airflow_codepipeline_partner.exceptions import ClientConnectionError

#: Template of a client's connection id. In the client id ``-`` becomes ``_``.
DEFAULT_TEMPLATE = "codepipeline_client_{client_id}"


def client_conn_id(client_id: str, template: str = DEFAULT_TEMPLATE) -> str:
    """
    Return the id of a client's connection.

    :param client_id: The client id, from the poll.
    :param template: The template of the connection id, with ``{client_id}``.
    :raises ClientConnectionError: The template has another field than ``{client_id}``.
    """
    try:
        return template.format(client_id=client_id.replace("-", "_"))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ClientConnectionError(
            "client_conn_id_template may hold {client_id} and no other field in braces; "
            f"the one given has {len(template)} characters."
        ) from None


def check_template(template: str) -> None:
    """
    Check the template of a client's connection id.

    :raises ClientConnectionError: It has another field than ``{client_id}``.
    """
    client_conn_id("x", template)

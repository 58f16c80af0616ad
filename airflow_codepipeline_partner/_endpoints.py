# SPDX-License-Identifier: Apache-2.0
"""The endpoints of AWS's services: AWS's own, or an emulator's that an Airflow connection names."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper


def is_of_aws(endpoint_url: str) -> bool:
    """Return whether an endpoint is in a domain of AWS, of any partition."""
    host = urlsplit(endpoint_url).hostname or ""
    return any(host == domain or host.endswith(f".{domain}") for domain in _domains_of_aws())


@functools.cache
def _domains_of_aws() -> frozenset[str]:
    from botocore.loaders import Loader

    return frozenset(
        variant["dnsSuffix"]
        for partition in Loader().load_data("endpoints")["partitions"]
        for variant in (partition, *partition["defaults"].get("variants", ()))
    )


def endpoint_of(connection: AwsConnectionWrapper, service: str) -> str | None:
    """
    Return the endpoint of a service that belongs to a connection's CodePipeline, or None for AWS's own.

    An endpoint of AWS's that is not said to be the service's is CodePipeline's, in a VPC for instance.

    :param connection: The ``aws`` connection.
    :param service: The service, as boto3 names it, such as ``s3``.
    """
    own: str | None = (connection.service_config.get(service) or {}).get("endpoint_url")
    shared = connection.endpoint_url
    return own or (shared if shared and not is_of_aws(shared) else None)

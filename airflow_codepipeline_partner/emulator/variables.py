# SPDX-License-Identifier: Apache-2.0
"""The variables of a pipeline's execution, as an action's configuration refers to them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_codepipeline_partner.emulator.errors import ActionFailed

#: ``#{namespace.name}``; the two namespaces ``codepipeline`` and ``variables`` are always there.
REFERENCE = re.compile(r"#\{([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_-]+)\}")


def resolve(configuration: Mapping[str, str], variables: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """
    Return a configuration with the values of variables in the place of references to them.

    :param variables: Values by namespace and name.
    :raises ActionFailed: There is no such variable, or not yet.
    """

    def value(found: re.Match[str]) -> str:
        namespace, name = found.groups()
        try:
            return variables[namespace][name]
        except KeyError:
            message = f"There is no variable {name} in the namespace {namespace}, or not yet."
            raise ActionFailed("ConfigurationError", message) from None

    return {key: REFERENCE.sub(value, text) for key, text in configuration.items()}

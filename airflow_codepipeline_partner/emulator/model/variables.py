# SPDX-License-Identifier: Apache-2.0
"""The variables of an execution, and the references to them in an action's configuration."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from airflow_codepipeline_partner.emulator.errors import ActionFailed

#: ``#{namespace.name}``
REFERENCE = re.compile(r"#\{([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_-]+)\}")
OF_EXECUTION, OF_PIPELINE = "codepipeline", "variables"
RESERVED_NAMESPACES = frozenset({OF_EXECUTION, OF_PIPELINE})

#: Values by namespace and name; None if the values of a namespace cannot be known.
Variables = Mapping[str, Mapping[str, str] | None]


def resolve(
    configuration: Mapping[str, str], variables: Variables, secret_keys: Collection[str] = ()
) -> dict[str, str]:
    """
    Return a configuration in which references to variables are replaced by their values.

    A reference to a namespace with unknown values stays as it is.

    :param secret_keys: The keys whose references an error does not show.
    :raises ActionFailed: A variable does not exist, or not yet.
    """

    def resolved(key: str, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            namespace, name = found.groups()
            known = variables.get(namespace, {})
            if known is None:
                return found[0]
            if name not in known:
                which = "a variable" if key in secret_keys else f"the variable {namespace}.{name}"
                message = f"The configuration property {key} refers to {which} that is not there, or not yet."
                raise ActionFailed("ConfigurationError", message)
            return known[name]

        return REFERENCE.sub(value, text)

    return {key: resolved(key, text) for key, text in configuration.items()}

# SPDX-License-Identifier: Apache-2.0
"""The parameters by which operators, triggers and notifiers reach AWS, and the hook that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from botocore.config import Config

    from airflow_codepipeline_partner.hooks import CodePipelineHook

#: What Jinja renders for values that are no texts.
_RENDERED: Mapping[str, bool | None] = {"None": None, "": None, "True": True, "False": False}


@dataclass(frozen=True)
class AwsParameters:
    """
    How one task, trigger or notifier reaches AWS.

    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The region of the jobs. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle. If None, boto3's default is
        used.
    :param botocore_config: A mapping of arguments of botocore's Config, or None. A Config works, too, in a
        task that is not deferred: a trigger could not store it.
    :param client_conn_id_template: How a client's connection id is made from its client id.
    """

    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    verify: bool | str | None = None
    # Not in the repr: a proxy's URL may hold a password.
    botocore_config: Mapping[str, Any] | Config | None = field(default=None, repr=False)
    client_conn_id_template: str = DEFAULT_TEMPLATE

    @classmethod
    def of(cls, holder: object) -> Self:
        """Return the parameters that an operator, trigger or notifier holds as attributes."""
        return cls(**{part.name: getattr(holder, part.name) for part in fields(cls)})

    def to_arguments(self) -> dict[str, Any]:
        """Return them by name, for another operator or for a trigger."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def with_config_defaults(self, **defaults: Any) -> Self:
        """Return them with arguments of botocore's Config that ``botocore_config`` does not give."""
        given = self.botocore_config or {}
        if isinstance(given, Mapping):
            return replace(self, botocore_config={**defaults, **given})
        return replace(self, botocore_config=type(given)(**defaults).merge(given))

    def hook(self, **more: Any) -> CodePipelineHook:
        """
        Make the hook.

        :param more: Other parameters of the hook, such as ``retry_deadline``.
        """
        # boto3 and the amazon provider take half a second to import: not while a DAG is parsed.
        from airflow_codepipeline_partner.hooks import CodePipelineHook

        return CodePipelineHook(
            aws_conn_id=_as_value(self.aws_conn_id),
            region_name=_as_value(self.region_name),
            verify=_as_value(self.verify),
            config=self.botocore_config,
            client_conn_id_template=self.client_conn_id_template,
            **more,
        )


def _as_value(given: Any) -> Any:
    return _RENDERED.get(given, given) if isinstance(given, str) else given

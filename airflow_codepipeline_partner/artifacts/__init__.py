# SPDX-License-Identifier: Apache-2.0
"""
A job's artifacts: download, unpack, pack and upload them with the job's own credentials.

See :class:`Workspace`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.formats import ArchiveFormat

if TYPE_CHECKING:
    from airflow_codepipeline_partner.artifacts.workspace import Workspace

__all__ = ["ArchiveFormat", "ArchiveLimits", "Workspace"]


def __getattr__(name: str) -> Any:
    """Import the workspace when it is needed: the operators need it in a task, and not to be parsed."""
    if name != "Workspace":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_codepipeline_partner.artifacts.workspace import Workspace

    return Workspace

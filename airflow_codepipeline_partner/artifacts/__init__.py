# SPDX-License-Identifier: Apache-2.0
"""
A job's artifacts: download, unpack, pack and upload them with the job's own credentials.

See :class:`Workspace`.
"""

from __future__ import annotations

from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.formats import ArchiveFormat
from airflow_codepipeline_partner.artifacts.workspace import Workspace

__all__ = ["ArchiveFormat", "ArchiveLimits", "Workspace"]

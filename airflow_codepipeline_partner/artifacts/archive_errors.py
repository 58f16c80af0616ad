# SPDX-License-Identifier: Apache-2.0
"""Errors of parsers as errors that name the artifact."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveGuard
from airflow_codepipeline_partner.artifacts.compression import TooMuchMemory
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError


@contextmanager
def broken_archive_errors(guard: ArchiveGuard, name: str | None = None) -> Iterator[None]:
    """
    Raise what a parser raises as the error for a broken archive.

    :param guard: What words the error.
    :param name: The entry that is read.
    :raises UnsafeArchive: It cannot be read within its limits, or its names cannot be read.
    :raises ArtifactError: The archive is broken.
    :raises OSError: The disk failed.
    """
    try:
        yield
    except (CodePipelineProviderError, MemoryError):
        raise
    except TooMuchMemory as error:
        raise guard.refuse(str(error), advice="Compress it by xz -9 or less.") from None
    except UnicodeDecodeError:
        raise guard.refuse(
            "has a name that is not in the encoding that the archive says", name, "Rename it, and pack again."
        ) from None
    except OSError as error:
        # Those of bz2 have no number, and a seek to an invalid position is the archive's fault.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise guard.broken(error, name) from error
    except Exception as error:
        # Untrusted bytes may make a parser raise anything.
        raise guard.broken(str(error) or type(error).__name__, name) from error

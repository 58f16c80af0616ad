# SPDX-License-Identifier: Apache-2.0
"""A file's first bytes say what format it has."""

from __future__ import annotations

import gzip

import pytest
from archive_files import file, make_zip

from airflow_codepipeline_partner.artifacts.formats import format_of


@pytest.mark.parametrize(
    ("content", "is_format"),
    [
        (b"", "raw"),
        (b"plain text", "raw"),
        (gzip.compress(b"no tar"), "raw"),
        (bytes(10240), "tar"),
        (gzip.compress(bytes(10240)), "tar.gz"),
        (bytes(32768) + b"CD001", "raw"),
        (make_zip([]), "zip"),
        (b"MZ" + make_zip([file("a")]), "raw"),
        (b"\x1f\x8bbroken", "tar.gz"),
    ],
    ids=range(9),
)
def test_what_only_looks_like_an_archive_is_none(tmp_path, content, is_format):
    (tmp_path / "f").write_bytes(content)
    assert format_of(tmp_path / "f") == is_format

# SPDX-License-Identifier: Apache-2.0
"""Which texts name a place of artifacts, and what is said of the others."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest

from airflow_codepipeline_partner.artifacts.places import check_path, check_place, path_of
from airflow_codepipeline_partner.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("/a/b", "/a/b"),
        (Path("/a/b"), "/a/b"),
        ("/a b/ü/c:d/e+f:g", "/a b/ü/c:d/e+f:g"),
        ("/a%20b", "/a%20b"),
        ("/a/../b", "/a/../b"),
        ("/runs/manual__2026-01-31T00:00:00+00:00/A", "/runs/manual__2026-01-31T00:00:00+00:00/A"),
        ("/a/~b/c$", "/a/~b/c$"),
        ("file:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("file:///a%20b", "/a b"),
        ("file:///a%2520b", "/a%20b"),
        ("file:///%C3%BC/%E3%81%82", "/ü/あ"),
        ("file:///a%3Fb%23c", "/a?b#c"),
        ("file:///a+b", "/a+b"),
        ("file:///US%24100/$x/~", "/US$100/$x/~"),
        ("s3://b/p", None),
        ("S3://b/p", None),
        ("s3://conn@b/a?b#c $x", None),
        ("gs://b/p", None),
        ("abfs+https://b/p", None),
    ],
)
def test_a_place_is_a_path_or_a_url(place, path):
    checked = check_place(place)
    assert checked == str(place)
    found = path_of(checked)
    assert (None if found is None else str(found)) == path


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://conn@/key", "names no bucket"),
        ("~/x", "starts with ~, which is not expanded; write the whole path"),
        ("~airflow/x", "starts with ~"),
        ("$HOME/x", "a variable of the shell"),
        ("${HOME}/x", "a variable of the shell"),
        ("/data/$USER/x", "a variable of the shell"),
        ("arn:aws:s3:::b/x", "is an ARN; write s3://bucket/key"),
        ("arn:aws-cn:s3:::b/x", "is an ARN; write s3://bucket/key"),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/x", "is an ARN"),
        (r"C:\x", "a path of Windows"),
        ("c:/x", "a path of Windows"),
        ("C:x", "a path of Windows"),
        (r"\\server\share\x", "a path of Windows"),
        ("file:///C:/x", "a path of Windows"),
        (PureWindowsPath("C:/x"), "a path of Windows"),
        ("s3:b/x", "has a scheme without ://"),
        ("s3:/b/x", "has a scheme without ://"),
        ("x", "is a path from the worker's current"),
        ("./x", "is a path from the worker's current"),
        ("../x", "is a path from the worker's current"),
        ("bucket/x", "is a path from the worker's current"),
        (r"%TEMP%\x", "is a path from the worker's current"),
        ("s3//b/x", "is a path from the worker's current"),
        ("None/x", "is a path from the worker's current"),
        ("あ/x", "is a path from the worker's current"),
        ("://x", "is a path from the worker's current"),
        ("s3a://b/x", "a scheme of Hadoop; write s3://"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("gs://", "names no bucket"),
        ("local://a/b", "names no bucket"),
        ("file:x", "names no path; write file:///path"),
        ("file:", "names no path"),
        ("file://host/x", "names a host"),
        ("file://~/x", "names a host"),
        ("file:///a?b", "write %3F or %23"),
        ("file:///a#b", "write %3F or %23"),
        ("file:///a?", "write %3F or %23"),
        ("file:///a%00b", "names no path"),
        ("/x\n", "white space"),
        (" /x", "white space"),
        ("s3://b/x\n", "white space"),
        ("/a\nb", "control characters"),
        ("s3://user:planted@b/x", "must not contain a password"),
        ("file://u:planted@localhost/x", "must not contain a password"),
        ("s3://[b/x", "is not a valid URL"),
        ("", "it is empty"),
        (None, "of type NoneType"),
        ("None", "of type str"),
        (["/x"], "of type list"),
        (b"/x", "of type bytes"),
    ],
)
def test_what_is_no_place_is_told_what_to_write(place, said):
    with pytest.raises(InvalidInput) as refusal:
        check_place(place)
    assert said in str(refusal.value)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize("path", ["s3://b/x", "file:///x", "x", "~/x"])
def test_a_path_is_no_url(path):
    with pytest.raises(InvalidInput):
        check_path(path)


@pytest.mark.parametrize("path", ["", "/data/a\0b", "/data/a\n"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(InvalidInput, match=r"is empty|holds control characters"):
        check_path(path)

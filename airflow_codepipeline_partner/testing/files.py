# SPDX-License-Identifier: Apache-2.0
"""The contents of artifacts: zips that a test gives to a job, and archives that a job has uploaded."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

__all__: list[str] = []

#: A folder or an archive, the bytes of an object, or the files of a zip.
Content = Path | bytes | Mapping[str, str | bytes]


def body_of(content: Content) -> bytes:
    """
    Return the object that CodePipeline gives a worker for an artifact.

    :param content: The files of a zip, by their paths; a folder, or the path of a file; or the object itself.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, Path):
        if not content.is_dir():
            return content.read_bytes()
        files = sorted(path for path in content.rglob("*") if path.is_file())
        content = {path.relative_to(content).as_posix(): path.read_bytes() for path in files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return buffer.getvalue()


class OutputArtifact:
    """
    An artifact that a job has uploaded.

    :param name: The artifact's name.
    :param body: The object, as it lies in S3.
    """

    def __init__(self, name: str, body: bytes) -> None:
        self.name = name
        self.body = body

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the archive (zip, tar or compressed tar), by their paths."""
        buffer = io.BytesIO(self.body)
        if zipfile.is_zipfile(buffer):
            with zipfile.ZipFile(buffer) as zipped:
                return {each.filename: zipped.read(each) for each in zipped.infolist() if not each.is_dir()}
        buffer.seek(0)
        try:
            with tarfile.open(fileobj=buffer) as tar:
                opened = {each.name: tar.extractfile(each) for each in tar if each.isfile()}
                return {name.removeprefix("./"): file.read() for name, file in opened.items() if file}
        except tarfile.ReadError:
            raise AssertionError(f"The artifact {self.name} is neither a zip nor a tar file.") from None

    def read(self, path: str) -> str:
        """
        Return a file of the archive as text.

        :param path: The file's path in the archive.
        :raises AssertionError: There is no such file; the message names those that there are.
        """
        files = self.files
        if path not in files:
            there = ", ".join(sorted(files)) or "no files"
            raise AssertionError(f"The artifact {self.name} has no file {path}. It has {there}.")
        return files[path].decode()

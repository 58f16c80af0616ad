# SPDX-License-Identifier: Apache-2.0
"""waitress's channel, which gives moto and the clients what moto's own server gives them."""

from __future__ import annotations

import contextlib
import re

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, get_header_lines
from waitress.task import WSGITask

from airflow_codepipeline_partner.emulator.http.requests import PRESERVED_NAMES, Environ

_METADATA_PREFIX = "x-amz-meta-"
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """
    waitress's parser, with three differences.

    It takes clients that send "Expect: 100-continue" with an empty body, and UTF-8 in URLs as it is.
    It keeps the headers of metadata whose names have an underscore.
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the header of a request."""
        line, end, rest = header_plus.partition(b"\r\n")
        header_plus = _BEYOND_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), line) + end + rest
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            # Of a URL or a length that Python does not read; the connection would just end.
            raise ParsingError(str(error)) from None
        # botocore sends "Expect: 100-continue" with each upload. After "continue" waitress waits for a body,
        # and an empty one never comes.
        if self.content_length == 0 and not self.chunked:
            self.expect_continue = False
        self.preserved_names = self._preserve(header_plus)

    def _preserve(self, header_plus: bytes) -> dict[str, str]:
        """
        Add the headers that waitress drops and moto reads.

        WSGI cannot tell "_" from "-", so that moto has a list of such names as they were sent.

        :return: Names as they were sent, by those of WSGI.
        """
        names: dict[str, str] = {}
        if _METADATA_PREFIX.encode() not in header_plus.lower():
            return names
        sent_with_dashes = frozenset(self.headers)
        for line in get_header_lines(header_plus.partition(b"\r\n")[2]):
            name, _, value = line.decode("latin-1").partition(":")
            key = name.upper().replace("-", "_")
            # A name with underscores never stands for one with dashes.
            if key in sent_with_dashes or not name.lower().startswith(_METADATA_PREFIX):
                continue
            former = [self.headers[key]] if key in self.headers else []
            self.headers[key] = ",".join([*former, value.strip(" \t")])
            names.setdefault(f"HTTP_{key}", name)
        return names


class _Task(WSGITask):  # type: ignore[misc]
    """waitress's task, which keeps the request's path and the response's header names as written."""

    def get_environment(self) -> Environ:
        """Return the WSGI environment."""
        environ: Environ = super().get_environment()
        uri = environ["REQUEST_URI"]
        # As in PATH_INFO: extra slashes at the beginning are none of the key's.
        environ["RAW_URI"] = "/" + uri.lstrip("/") if uri.startswith("/") else uri
        environ[PRESERVED_NAMES] = self.request.preserved_names
        return environ

    def finish(self) -> None:
        """Send the response. waitress would wake its loop for that, and again for the next request."""
        super().finish()
        with contextlib.suppress(OSError):
            self.channel._flush_some_if_lockable(do_close=False)

    def build_response_header(self) -> bytes:
        """Return the status line and the headers. waitress would capitalise S3's names of metadata."""
        names = {name.lower(): name for name, _ in self.response_headers}
        lines = super().build_response_header().decode("latin-1").split("\r\n")
        pairs = [(name, colon, value) for name, colon, value in (line.partition(":") for line in lines)]
        header = "\r\n".join(names.get(name.lower(), name) + colon + value for name, colon, value in pairs)
        return header.encode("latin-1")


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection to a client."""

    parser_class = _Parser
    task_class = _Task

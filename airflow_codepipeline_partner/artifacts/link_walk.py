# SPDX-License-Identifier: Apache-2.0
"""Follow symbolic links within a folder, each part of each link once."""

from __future__ import annotations

from collections.abc import Callable

#: Most links that one link may lead through, as on Linux.
MAX_LINK_HOPS = 40


class LinkLeadsOut(Exception):
    """A link leads out of its folder, or through too many others."""


class LinkWalk:
    """
    Find out where links lead.

    What is known of a link is kept, so that the cost is that of reading each link once, however they lead
    through each other.

    :param look: Returns what lies at a path below the folder: the text of a link, True for a folder, and
        False for anything else or nothing.
    """

    def __init__(self, look: Callable[[str], str | bool]) -> None:
        self._look = look
        #: Path of each followed link → where it leads, and through how many links.
        self._ends: dict[str, tuple[str, int, int]] = {}
        self._open: set[str] = set()

    def follow(self, path: str, text: str) -> None:
        """
        Follow a link to its end, which need not exist.

        :param path: Where it is, below the folder. No part of it is a link.
        :param text: Where it leads, as it is written.
        :raises LinkLeadsOut: It leads out, in a circle, or through more than 40 links.
        """
        self._end(path, text)

    def _end(self, path: str, text: str) -> tuple[str, int, int]:
        """Return the folder that a link leads to, the number of parts that lie below it, and the hops."""
        known = self._ends.get(path)
        if known is None:
            if path in self._open or len(self._open) >= MAX_LINK_HOPS:
                raise LinkLeadsOut
            self._open.add(path)
            known = self._ends[path] = self._walk(path.rpartition("/")[0], text)
            self._open.discard(path)
        return known

    def _walk(self, folder: str, text: str) -> tuple[str, int, int]:
        # Below a folder that exists, parts that do not are only counted.
        below, hops = 0, 1
        for part in text.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                if below:
                    below -= 1
                elif folder:
                    folder = folder.rpartition("/")[0]
                else:
                    raise LinkLeadsOut
                continue
            if below:
                below += 1
                continue
            path = f"{folder}/{part}" if folder else part
            found = self._look(path)
            if found is True:
                folder = path
            elif found is False:
                below = 1
            else:
                folder, below, more = self._end(path, found)
                hops += more
                if hops > MAX_LINK_HOPS:
                    raise LinkLeadsOut
        return folder, below, hops

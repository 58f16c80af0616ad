# SPDX-License-Identifier: Apache-2.0
"""How much an archive may hold."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_codepipeline_partner.exceptions import InvalidInput


@dataclass(frozen=True)
class ArchiveLimits:
    """
    How much an archive may hold. An archive that holds more is refused as a whole.

    :param max_members: The most entries, and the most files, folders and links that they make, above 0.
        Every entry counts, also one that makes nothing. Default 200,000.
    :param max_bytes: The most unpacked bytes, which lie on the worker's disk, above 0. Default 16 GiB.
    :param max_ratio: The most unpacked bytes for each byte of the archive, above 0. It is checked once 64 MiB
        are unpacked. Default 200; the deflate of zip and gzip reaches at most 1032.
    :param max_seconds: The longest time to unpack it, in seconds, above 0. Default 3600.
    :raises InvalidInput: A limit is not above 0.
    """

    max_members: int = 200_000
    max_bytes: int = 16 * 1024**3
    max_ratio: float = 200
    max_seconds: float = 3600

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InvalidInput(f"{name} {value} is not valid; it must be above 0.")

# SPDX-License-Identifier: Apache-2.0
"""Checksums are those of the published check values, and of a whole from its parts."""

from __future__ import annotations

import hashlib
import random

import pytest

from airflow_codepipeline_partner.emulator.http.checksums import CRCS, DIGESTS, Crc, encoded

CHECK = b"123456789"
# The values that the catalogues of CRCs give for these nine digits.
CHECK_VALUES = {
    "x-amz-checksum-crc32": "cbf43926",
    "x-amz-checksum-crc32c": "e3069283",
    "x-amz-checksum-crc64nvme": "ae8b14860a799888",
}


@pytest.mark.parametrize("name", sorted(CHECK_VALUES))
def test_a_crc_has_the_check_value_of_its_catalogue(name):
    assert DIGESTS[name](CHECK).hex() == CHECK_VALUES[name]
    assert Crc.digest(CRCS[name], CHECK).hex() == CHECK_VALUES[name]
    assert set(CRCS) == set(CHECK_VALUES)


@pytest.mark.parametrize("name", sorted(CRCS))
def test_a_crc_of_nothing_is_zero(name):
    assert int.from_bytes(DIGESTS[name](b"")) == 0
    assert int.from_bytes(CRCS[name].joined([])) == 0


@pytest.mark.parametrize("name", sorted(CRCS))
def test_the_crc_of_a_whole_comes_from_its_parts(name):
    crc, made = CRCS[name], random.Random(1)  # noqa: S311 - repeatable, no secret
    for count in range(6):
        parts = [made.randbytes(made.choice((0, 1, 2, 255, 256, 5000))) for _ in range(count)]
        assert crc.joined((crc.digest(part), len(part)) for part in parts) == crc.digest(b"".join(parts))


def test_other_digests_are_those_of_their_names():
    for name in set(DIGESTS) - set(CRCS):
        algorithm = name.rpartition("-")[2]
        assert DIGESTS[name](CHECK) == hashlib.new(algorithm, CHECK, usedforsecurity=False).digest()


def test_a_digest_is_encoded_as_in_headers():
    assert encoded(bytes.fromhex("e3069283")) == "4waSgw=="

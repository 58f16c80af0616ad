# SPDX-License-Identifier: Apache-2.0
"""The switches."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_codepipeline_partner.emulator import Settings


def test_text_is_read_by_the_type_of_the_setting():
    read = Settings.from_mapping(
        {
            "lease_seconds": "0.5",
            "default_batch_size": "3",
            "max_batch_size": "none",
            "details_rotate_nonce": "TRUE",
            "nonce_on_redelivery": "same",
            "region": "eu-west-1",
            "connect_parameter": "doc",
            "connect_members": "a,b,c",
        }
    )
    assert read == Settings(
        lease_seconds=0.5,
        default_batch_size=3,
        details_rotate_nonce=True,
        nonce_on_redelivery="same",
        region="eu-west-1",
        connect_parameter="doc",
        connect_members=("a", "b", "c"),
    )
    assert Settings.from_mapping({"require_output_artifacts": "false"}) == Settings()


def test_what_is_shown_can_be_read_again():
    some = Settings(max_batch_size=3, connect_members=("a", "b", "c"))
    assert Settings.from_mapping(some.as_dict()) == some


def test_what_is_not_named_stays():
    base = Settings(lease_seconds=1)
    assert Settings.from_mapping({"retention": 5}, base) == dataclasses.replace(base, retention=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonsense", 1),
        ("lease_seconds", -1),
        ("lease_seconds", "soon"),
        ("lease_seconds", "nan"),
        ("lease_seconds", True),
        ("lease_seconds", None),
        ("job_timeout", 0),
        ("default_batch_size", 0),
        ("default_batch_size", 1.5),
        ("max_batch_size", "0"),
        ("nonce_on_redelivery", "old"),
        ("details_rotate_nonce", "perhaps"),
        ("details_rotate_nonce", 1),
        ("region", 7),
        ("region", ""),
        ("connect_members", "a,b"),
        ("connect_members", ["a", "b", ""]),
        ("connect_members", ["a", "b", "a"]),
        ("connect_members", [1, 2, 3]),
        ("connect_members", 5),
        ("connect_members", None),
        ("lease_seconds", 10**400),
        ("lease_seconds", 10_000_000_001),
        ("default_batch_size", 10**400),
        ("max_requests_per_second", 0),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        Settings.from_mapping({name: value})

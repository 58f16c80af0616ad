# SPDX-License-Identifier: Apache-2.0
"""Secrets in an action's configuration are masked, and a mask that comes back is the former value."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.emulator.model.secret_masking import mask, unmask

CONFIGURATION = {"Region": "eu", "Password": "s3cret"}


def test_only_the_secrets_are_masked():
    assert mask(CONFIGURATION, {"Password", "Other"}) == {"Region": "eu", "Password": "****"}


def test_a_mask_that_comes_back_is_the_former_value():
    masked = mask(CONFIGURATION, {"Password"}) | {"Region": "us"}
    assert unmask(masked, {"Password"}, {"Password": "s3cret"}) == CONFIGURATION | {"Region": "us"}


def test_a_new_secret_replaces_the_former_one():
    assert unmask({"Password": "new"}, {"Password"}, {"Password": "old"}) == {"Password": "new"}


def test_stars_that_are_no_secret_are_stars():
    assert unmask({"Region": "****"}, {"Password"} & {"Region"}, {}) == {"Region": "****"}


def test_a_mask_without_a_former_value_is_an_error():
    with pytest.raises(KeyError, match="Password"):
        unmask({"Password": "****"}, {"Password"}, {})

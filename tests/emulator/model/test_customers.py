# SPDX-License-Identifier: Apache-2.0
"""Customers and their tokens."""

from __future__ import annotations

import json
import urllib.parse

import pytest

from airflow_codepipeline_partner.emulator import ControlError


def test_a_former_token_is_dead_at_once_or_after_an_overlap(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    old = w.worker.token
    new = w.emu.rotate_token(w.customer.client_id, overlap=10).client_token
    assert new != old
    w.worker.details(job_id)
    w.worker.token = new
    w.worker.details(job_id)
    w.worker.token = old
    w.emu.advance(10)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(job_id)
    w.worker.token = new
    w.emu.rotate_token(w.customer.client_id)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(job_id)


def test_the_overlap_of_all_rotations_can_be_set(world):
    w = world(rotation_overlap=5)
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.rotate_token(w.customer.client_id, "chosen")
    w.worker.details(job_id)
    w.emu.advance(5)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(job_id)
    w.worker.token = "chosen"
    w.worker.details(job_id)


def test_connect_hands_the_identity_to_the_partners_page(control):
    body = {"client_id": control.w.customer.client_id, "configuration_url": "https://partner.example/c?a=b"}
    url = control("POST", "/connect", body)[1]["url"]
    assert url.startswith("https://partner.example/c?a=b&request=")
    document = json.loads(urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["request"][0])
    assert document["clientId"] == control.w.customer.client_id
    assert document["clientToken"] == control.w.customer.client_token
    assert document["correlationId"]
    again = control("POST", "/connect", body)[1]["url"]
    assert again != url


def test_the_shape_of_connect_can_be_set(control):
    control.w.emu.configure(connect_parameter="doc", connect_members="i,t,c")
    url = control.w.emu.connect_request(control.w.customer.client_id, "https://partner.example/c")
    assert url.startswith("https://partner.example/c?doc=")
    document = json.loads(urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["doc"][0])
    assert set(document) == {"i", "t", "c"}


def test_a_customer_is_added_once(control):
    with pytest.raises(ControlError, match="already a customer"):
        control.w.emu.add_customer(control.w.customer.client_id)


@pytest.mark.parametrize("url", ["http://partner.example", "https://[x", "https://", "partner.example"])
def test_the_configuration_page_is_https(control, url):
    with pytest.raises(ControlError, match="https"):
        control.w.emu.connect_request(control.w.customer.client_id, url)

# SPDX-License-Identifier: Apache-2.0
"""The five calls about webhooks."""

from __future__ import annotations

import pytest
from declaring import CODE_DEPLOY, action, code, stage

GITHUB = {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"}
HOOK = {
    "name": "pushed",
    "targetPipeline": "made",
    "targetAction": "Fetch",
    "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}],
    "authentication": "GITHUB_HMAC",
    "authenticationConfiguration": {"SecretToken": "hush"},
}


@pytest.fixture
def hooked(made):
    """A pipeline with GitHub as its source."""
    m = made()
    configuration = {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "t"}
    fetch = action("Fetch", GITHUB, outputs=["App"], configuration=configuration)
    m.create(stage("Source", fetch), stage("Build", action("Roll", CODE_DEPLOY)))
    return m


def put(m, tags=(), **change):
    return m.client.put_webhook(webhook=HOOK | change, tags=list(tags))["webhook"]


def listed(client, **more):
    return client.list_webhooks(**more)["webhooks"]


def test_a_webhook_is_shown_without_its_secret(hooked):
    tags = [{"key": "team", "value": "a"}]
    shown = put(hooked, tags)
    assert shown["definition"] == HOOK | {"authenticationConfiguration": {"SecretToken": "****"}}
    assert shown["arn"] == "arn:aws:codepipeline:us-east-1:123456789012:webhook:pushed"
    assert shown["tags"] == tags
    assert shown["url"].startswith("https://")
    assert listed(hooked.client) == [shown]
    assert "hush" not in str([entry.as_dict() for entry in hooked.w.emu.ledger])


def test_a_webhook_keeps_its_url_until_it_is_deleted(hooked):
    first = put(hooked, [{"key": "team", "value": "a"}])
    again = put(hooked, filters=[])
    assert (again["url"], again["definition"]["filters"]) == (first["url"], [])
    assert again["tags"] == first["tags"]
    for _ in range(2):
        hooked.client.delete_webhook(name="pushed")
    assert listed(hooked.client) == []
    assert put(hooked)["url"] != first["url"]


def test_webhooks_belong_to_a_region_and_are_listed_in_pages(hooked, client):
    for name in ("c", "a", "b"):
        put(hooked, name=name)
    first = hooked.client.list_webhooks(MaxResults=2)
    second = hooked.client.list_webhooks(MaxResults=2, NextToken=first["NextToken"])
    names = [each["definition"]["name"] for page in (first, second) for each in page["webhooks"]]
    assert (names, "NextToken" in second) == (["a", "b", "c"], False)
    other = client("codepipeline", hooked.w.emu, region_name="eu-west-1")
    assert listed(other) == []
    assert code(other.put_webhook, webhook=HOOK) == "PipelineNotFoundException"
    assert code(hooked.client.list_webhooks, NextToken="x") == "InvalidNextTokenException"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"targetPipeline": "none"}, "PipelineNotFoundException"),
        ({"targetAction": "None"}, "ValidationException"),
        ({"targetAction": "Roll"}, "ValidationException"),
        ({"name": "a b"}, "ValidationException"),
        ({"filters": [{"jsonPath": "ref"}]}, "InvalidWebhookFilterPatternException"),
        ({"filters": [{"jsonPath": "$.x"}] * 6}, "ValidationException"),
        ({"authentication": "NONE"}, "ValidationException"),
        ({"authentication": "IP"}, "InvalidWebhookAuthenticationParametersException"),
        ({"authentication": "UNAUTHENTICATED"}, "InvalidWebhookAuthenticationParametersException"),
        ({"authenticationConfiguration": {}}, "InvalidWebhookAuthenticationParametersException"),
        (
            {"authentication": "IP", "authenticationConfiguration": {"AllowedIPRange": "10.0.0.1/99"}},
            "InvalidWebhookAuthenticationParametersException",
        ),
        (
            {"authenticationConfiguration": {"SecretToken": "t", "AllowedIPRange": "10.0.0.0/8"}},
            "InvalidWebhookAuthenticationParametersException",
        ),
    ],
)
def test_a_webhook_that_is_not_right_is_refused(hooked, change, error):
    assert code(put, hooked, **change) == error
    assert listed(hooked.client) == []


@pytest.mark.parametrize(
    "change",
    [
        {"authentication": "IP", "authenticationConfiguration": {"AllowedIPRange": "10.0.0.0/8"}},
        {"authentication": "UNAUTHENTICATED", "authenticationConfiguration": {}},
    ],
)
def test_each_authentication_has_its_own_parameters(hooked, change):
    assert put(hooked, **change)["definition"]["authentication"] == change["authentication"]


def test_tags_of_webhooks_are_checked(hooked):
    assert code(put, hooked, [{"key": "aws:x", "value": ""}]) == "InvalidTagsException"
    many = [{"key": f"k{number}", "value": ""} for number in range(51)]
    assert code(put, hooked, many) == "TooManyTagsException"


@pytest.mark.parametrize("call", ["register_webhook_with_third_party", "deregister_webhook_with_third_party"])
def test_only_a_webhook_of_githubs_is_registered(hooked, call):
    do = getattr(hooked.client, call)
    assert code(do, webhookName="pushed") == "WebhookNotFoundException"
    assert code(do) == "ValidationException"
    put(hooked)
    do(webhookName="pushed")
    hooked.update(hooked.source, stage("Build", action("Roll", CODE_DEPLOY)))
    assert code(do, webhookName="pushed") == "ValidationException"
    hooked.client.delete_pipeline(name="made")
    assert code(do, webhookName="pushed") == "ValidationException"

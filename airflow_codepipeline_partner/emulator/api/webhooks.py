# SPDX-License-Identifier: Apache-2.0
"""The calls about webhooks, which are kept and shown, and start nothing."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable
from typing import Any

from airflow_codepipeline_partner.emulator.api.action_types import read_tags, written_tags
from airflow_codepipeline_partner.emulator.api.pages import sorted_page
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID, DEFAULT_REGION, GITHUB_SOURCE
from airflow_codepipeline_partner.emulator.model.secret_masking import MASKED
from airflow_codepipeline_partner.emulator.model.webhooks import Webhook
from airflow_codepipeline_partner.emulator.service_model import validate

MAX_RESULTS = 100
_SECRET, _RANGE = "SecretToken", "AllowedIPRange"
#: The parameters that each kind of authentication has.
_PARAMETERS: dict[str, set[str]] = {"GITHUB_HMAC": {_SECRET}, "IP": {_RANGE}, "UNAUTHENTICATED": set()}

Request = dict[str, Any]
Answer = dict[str, Any]


class WebhooksApi:
    """
    Answer the calls about webhooks.

    :param state: The state.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._handlers: dict[str, Callable[[Request, str], Answer]] = {
            "PutWebhook": self._put,
            "ListWebhooks": self._list,
            "DeleteWebhook": self._delete,
            "RegisterWebhookWithThirdParty": self._register,
            "DeregisterWebhookWithThirdParty": self._register,
        }

    def __contains__(self, operation: str) -> bool:
        return operation in self._handlers

    def answer(self, operation: str, request: Any, region: str | None) -> Answer:
        """
        Do a call.

        :param region: The region that the request is signed for.
        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._state.lock:
            now = self._state.tick()
            answer = self._handlers[operation](request, region or DEFAULT_REGION)
            name = request.get("name", request.get("webhookName", request.get("webhook", {}).get("name")))
            self._state.record("call", operation, now, details={} if name is None else {"name": name})
            return answer

    def _put(self, request: Request, region: str) -> Answer:
        definition = request["webhook"]
        name = definition["name"]
        pipeline = self._state.pipelines.get(definition["targetPipeline"])
        if pipeline is None or not pipeline.is_in(region):
            message = f"There is no pipeline {definition['targetPipeline']}."
            raise ApiError("PipelineNotFoundException", message)
        if definition["targetAction"] not in {action.name for action in pipeline.stages[0].actions}:
            message = f"The first stage of {pipeline.name} has no action {definition['targetAction']}."
            raise _invalid(message)
        for each in definition["filters"]:
            if not each["jsonPath"].startswith("$"):
                message = f"A JsonPath begins with $, not {each['jsonPath']}."
                raise ApiError("InvalidWebhookFilterPatternException", message)
        _check_authentication(definition["authentication"], definition["authenticationConfiguration"])
        known = self._state.webhooks.get((region, name))
        tags = read_tags(request.get("tags", []))
        made = Webhook(
            definition=definition,
            url=_new_url(region) if known is None else known.url,
            tags=tags or (known.tags if known is not None else {}),
        )
        self._state.webhooks[region, name] = made
        return {"webhook": _shown(made, region)}

    def _list(self, request: Request, region: str) -> Answer:
        found = sorted(
            (made for (place, _), made in self._state.webhooks.items() if place == region), key=_name
        )
        token, size = request.get("NextToken"), request.get("MaxResults", MAX_RESULTS)
        shown, following = sorted_page(found, token, size, _name)
        answer: Answer = {"webhooks": [_shown(made, region) for made in shown]}
        # Only this call has the token in capitals.
        return answer | ({"NextToken": following["nextToken"]} if following else {})

    def _delete(self, request: Request, region: str) -> Answer:
        self._state.webhooks.pop((region, request["name"]), None)
        return {}

    def _register(self, request: Request, region: str) -> Answer:
        """Accept that GitHub is told of a webhook, or not any more; nobody tells it."""
        name = request.get("webhookName")
        if name is None:
            raise _invalid("webhookName is missing.")
        made = self._state.webhooks.get((region, name))
        if made is None:
            raise ApiError("WebhookNotFoundException", f"There is no webhook {name}.")
        pipeline = self._state.pipelines.get(made.definition["targetPipeline"])
        actions = () if pipeline is None else pipeline.stages[0].actions
        target = made.definition["targetAction"]
        if not any((each.name, each.action_type) == (target, GITHUB_SOURCE) for each in actions):
            raise _invalid(f"The webhook {name} is not for an action of GitHub's.")
        return {}


def _check_authentication(kind: str, parameters: dict[str, str]) -> None:
    wanted = _PARAMETERS[kind]
    if parameters.keys() != wanted:
        what = f"{', '.join(wanted)} only" if wanted else "no parameters"
        raise _unauthenticated(f"The authentication {kind} has {what}.")
    if _RANGE in parameters:
        try:
            ipaddress.ip_network(parameters[_RANGE])
        except ValueError:
            raise _unauthenticated(f"{_RANGE} is no CIDR range: {parameters[_RANGE]}.") from None


def _new_url(region: str) -> str:
    # No host can have a name under .invalid, so that no payload goes to a stranger.
    return f"https://{region}.webhooks.invalid/trigger?t={uuid.uuid4().hex}&v=1"


def _shown(made: Webhook, region: str) -> Answer:
    configuration = dict(made.definition["authenticationConfiguration"])
    if _SECRET in configuration:
        configuration[_SECRET] = MASKED
    return {
        "definition": {**made.definition, "authenticationConfiguration": configuration},
        "url": made.url,
        "arn": f"arn:aws:codepipeline:{region}:{ACCOUNT_ID}:webhook:{made.definition['name']}",
        "tags": written_tags(made.tags),
    }


def _name(made: Webhook) -> str:
    return str(made.definition["name"])


def _unauthenticated(message: str) -> ApiError:
    return ApiError("InvalidWebhookAuthenticationParametersException", message)


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)

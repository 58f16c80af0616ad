# SPDX-License-Identifier: Apache-2.0
"""The calls that create, show and delete action types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.action_types import (
    CUSTOM,
    ActionTypeId,
    RegisteredActionType,
)
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID, CONFIG_PLACEHOLDER
from airflow_codepipeline_partner.emulator.service_model import is_number, validate

PAGE = 20
_TEMPLATES = ("entityUrlTemplate", "executionUrlTemplate", "revisionUrlTemplate")

Request = dict[str, Any]
Answer = dict[str, Any]


class ActionTypesApi:
    """
    Answer the calls about action types.

    :param state: The state.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._handlers: dict[str, Callable[[Request], Answer]] = {
            "CreateCustomActionType": self._create,
            "DeleteCustomActionType": self._delete,
            "ListActionTypes": self._list,
            "GetActionType": self._get,
        }

    def __contains__(self, operation: str) -> bool:
        return operation in self._handlers

    def answer(self, operation: str, request: Any) -> Answer:
        """
        Do a call.

        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._state.lock:
            now = self._state.tick()
            answer = self._handlers[operation](request)
            named = {name: request[name] for name in ("category", "provider", "version") if name in request}
            self._state.record("call", operation, now, details=named)
            return answer

    def _create(self, request: Request) -> Answer:
        type_id = _custom_id(request)
        tags = request.pop("tags", [])
        definition = {name: value for name, value in request.items() if name not in type_id._fields}
        for what in ("input", "output"):
            counts = definition[f"{what}ArtifactDetails"]
            if counts["minimumCount"] > counts["maximumCount"]:
                raise _invalid(f"{what}ArtifactDetails: minimumCount is above maximumCount")
        properties = definition.get("configurationProperties", [])
        _check_properties(properties)
        _check_templates(definition.get("settings", {}), properties)
        made = self._state.action_types.create(RegisteredActionType(type_id, definition))
        return {"actionType": made.as_dict(), "tags": tags}

    def _delete(self, request: Request) -> Answer:
        self._state.action_types.delete(_custom_id(request))
        return {}

    def _list(self, request: Request) -> Answer:
        owner, region = request.get("actionOwnerFilter"), self._state.settings.region
        found = [each.as_dict() for each in self._state.action_types if owner in (None, each.id.owner)]
        if region is not None and request.get("regionFilter", region) != region:
            found = []
        token = request.get("nextToken", "0")
        if not (is_number(token) and int(token) <= len(found)):
            raise ApiError("InvalidNextTokenException", "The next token is not one of this list's.")
        start = int(token)
        following = {"nextToken": str(start + PAGE)} if len(found) > start + PAGE else {}
        return {"actionTypes": found[start : start + PAGE]} | following

    def _get(self, request: Request) -> Answer:
        found = self._state.action_types.find(ActionTypeId.of(request))
        if found is None:
            raise ApiError(
                "ActionTypeNotFoundException", f"There is no {'/'.join(ActionTypeId.of(request))}."
            )
        shape = found.as_dict()
        worker = {"jobWorkerExecutorConfiguration": {"pollingAccounts": [ACCOUNT_ID]}}
        return {
            "actionType": {
                "id": shape["id"],
                "executor": {"type": "JobWorker", "configuration": worker},
                "inputArtifactDetails": shape["inputArtifactDetails"],
                "outputArtifactDetails": shape["outputArtifactDetails"],
                "permissions": {"allowedAccounts": ["*"]},
            }
        }


def _custom_id(request: Request) -> ActionTypeId:
    return ActionTypeId.of({**request, "owner": CUSTOM})


def _check_properties(properties: list[dict[str, Any]]) -> None:
    names = [each["name"] for each in properties]
    if len(set(names)) < len(names):
        raise _invalid("configurationProperties: each has a name of its own")
    queryable = [each for each in properties if each.get("queryable")]
    if len(queryable) > 1:
        raise _invalid("configurationProperties: only one can be queryable")
    if any(each["secret"] or not each["required"] for each in queryable):
        raise _invalid("configurationProperties: one that is queryable is required and not secret")


def _check_templates(settings: dict[str, str], properties: list[dict[str, Any]]) -> None:
    usable = {each["name"] for each in properties if each["required"] and not each["secret"]}
    for template in _TEMPLATES:
        for name in CONFIG_PLACEHOLDER.findall(settings.get(template, "")):
            if name not in usable:
                wanted = "a property that is required and not secret"
                raise _invalid(f"settings.{template}: {{Config:{name}}} does not name {wanted}")


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)

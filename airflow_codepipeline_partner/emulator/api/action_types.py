# SPDX-License-Identifier: Apache-2.0
"""The calls that create, show and delete action types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.api.pages import sorted_page
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.action_types import (
    CUSTOM,
    ActionTypeId,
    RegisteredActionType,
    not_available,
)
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID, CONFIG_PLACEHOLDER
from airflow_codepipeline_partner.emulator.service_model import validate

PAGE = 20
MAX_TAGS = 50
#: Region, account, and owner, category, provider and version.
_ARN = re.compile(r"arn:[\w-]+:codepipeline:([^:]+):([0-9]{12}):actiontype:([^/:]+/[^/:]+/[^/:]+/[^/:]+)")
_TEMPLATES = ("entityUrlTemplate", "executionUrlTemplate", "revisionUrlTemplate")
_WORKER, _WORKERS_CONFIGURATION = "JobWorker", "jobWorkerExecutorConfiguration"

Request = dict[str, Any]
Answer = dict[str, Any]


class ActionTypesApi:
    """
    Answer the calls about action types.

    :param state: The state.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._handlers: dict[str, Callable[[Request, str | None], Answer]] = {
            "CreateCustomActionType": self._create,
            "DeleteCustomActionType": self._delete,
            "ListActionTypes": self._list,
            "GetActionType": self._get,
            "UpdateActionType": self._update,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }

    def answers(self, operation: str, request: Any) -> bool:
        """Return whether this answers a call: of those about tags, the ones that name an action type."""
        arn = request.get("resourceArn") if isinstance(request, dict) else None
        is_about_tags = operation in ("ListTagsForResource", "TagResource", "UntagResource")
        return operation in self._handlers and (
            not is_about_tags or (isinstance(arn, str) and _ARN.fullmatch(arn) is not None)
        )

    def answer(self, operation: str, request: Any, region: str | None = None) -> Answer:
        """
        Do a call.

        :param region: The region that the request is signed for; None for all of them.
        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._state.lock:
            now = self._state.tick()
            answer = self._handlers[operation](request, region)
            named = {name: request[name] for name in ("category", "provider", "version") if name in request}
            self._state.record("call", operation, now, details=named)
            return answer

    def _create(self, request: Request, region: str | None) -> Answer:
        type_id = _custom_id(request)
        tags = read_tags(request.pop("tags", []))
        definition = {name: value for name, value in request.items() if name not in type_id._fields}
        _check_definition(definition)
        made = self._state.action_types.create(
            RegisteredActionType(type_id, definition, region=region, tags=tags)
        )
        return {"actionType": made.as_dict(), "tags": written_tags(made.tags)}

    def _delete(self, request: Request, region: str | None) -> Answer:
        self._state.action_types.delete(_custom_id(request), region)
        return {}

    def _list(self, request: Request, region: str | None) -> Answer:
        owner, only = request.get("actionOwnerFilter"), self._state.settings.region
        wanted = request.get("regionFilter", region)
        known = self._state.action_types.in_region(wanted)
        found = sorted((each for each in known if owner in (None, each.id.owner)), key=_name)
        if only is not None and request.get("regionFilter", only) != only:
            found = []
        shown, following = sorted_page(found, request.get("nextToken"), PAGE, _name)
        return {"actionTypes": [each.as_dict() for each in shown]} | following

    def _get(self, request: Request, region: str | None) -> Answer:
        found = self._state.action_types.find(ActionTypeId.of(request), region)
        if found is None:
            raise ApiError("ActionTypeNotFoundException", not_available(ActionTypeId.of(request)))
        if found.declaration is not None:
            return {"actionType": dict(found.declaration)}
        shape = found.as_dict()
        worker = {_WORKERS_CONFIGURATION: {"pollingAccounts": [ACCOUNT_ID]}}
        return {
            "actionType": {
                "id": shape["id"],
                "executor": {"type": _WORKER, "configuration": worker},
                "inputArtifactDetails": shape["inputArtifactDetails"],
                "outputArtifactDetails": shape["outputArtifactDetails"],
                "permissions": {"allowedAccounts": ["*"]},
            }
        }

    def _update(self, request: Request, region: str | None) -> Answer:
        declared = request["actionType"]
        type_id = ActionTypeId.of(declared["id"])
        found = self._state.action_types.find(type_id, region)
        if found is None:
            raise ApiError("ActionTypeNotFoundException", not_available(type_id))
        executor = declared["executor"]
        if executor["type"] != _WORKER:
            message = "The emulator runs no Lambda functions: the executor is a JobWorker."
            raise ApiError("NotImplementedException", message)
        if list(executor["configuration"]) != [_WORKERS_CONFIGURATION]:
            raise _invalid(f"executor: a {_WORKER} has the configuration {_WORKERS_CONFIGURATION} only")
        definition = _definition_of(declared)
        _check_definition(definition)
        self._state.action_types.update(found, definition, declared)
        return {}

    def _list_tags(self, request: Request, region: str | None) -> Answer:
        return page_of_tags(written_tags(self._tagged(request, region).tags), request)

    def _tag(self, request: Request, region: str | None) -> Answer:
        known = self._tagged(request, region)
        tags = {**known.tags, **read_tags(request["tags"])}
        if len(tags) > MAX_TAGS:
            raise ApiError("TooManyTagsException", f"A resource has at most {MAX_TAGS} tags.")
        self._state.action_types.tag(known, tags)
        return {}

    def _untag(self, request: Request, region: str | None) -> Answer:
        known = self._tagged(request, region)
        tags = {key: value for key, value in known.tags.items() if key not in request["tagKeys"]}
        self._state.action_types.tag(known, tags)
        return {}

    def _tagged(self, request: Request, region: str | None) -> RegisteredActionType:
        arn = request["resourceArn"]
        named = _ARN.fullmatch(arn)
        found = None
        if named is not None and region in (None, named[1]) and named[2] == ACCOUNT_ID:
            owner, category, provider, version = named[3].split("/")
            type_id = ActionTypeId(category, owner, provider, version)
            found = self._state.action_types.find(type_id, named[1])
        if found is None:
            raise ApiError("ResourceNotFoundException", f"There is no resource {arn}.")
        return found


def page_of_tags(tags: list[dict[str, str]], request: Request) -> Answer:
    """Return what ListTagsForResource answers."""
    token, size = request.get("nextToken"), request.get("maxResults", MAX_TAGS)
    tags = sorted(tags, key=lambda tag: tag["key"])
    shown, following = sorted_page(tags, token, size, lambda tag: str(tag["key"]))
    return {"tags": shown} | following


def _name(action_type: RegisteredActionType) -> str:
    return str(action_type.id)


def read_tags(tags: list[dict[str, str]]) -> dict[str, str]:
    """
    Return the tags of a resource by their keys.

    :raises ApiError: AWS would refuse them.
    """
    read = {each["key"]: each["value"] for each in tags}
    if any(key.lower().startswith("aws:") for key in read):
        raise ApiError("InvalidTagsException", "Keys of tags that begin with aws: are AWS's own.")
    if len(read) < len(tags):
        raise ApiError("InvalidTagsException", "Each tag has a key of its own.")
    if len(read) > MAX_TAGS:
        raise ApiError("TooManyTagsException", f"A resource has at most {MAX_TAGS} tags.")
    return read


def written_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in AWS's shape."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def _custom_id(request: Request) -> ActionTypeId:
    return ActionTypeId.of({**request, "owner": CUSTOM})


def _definition_of(declared: Request) -> Request:
    """Return what CreateCustomActionType would have asked for, of what UpdateActionType did."""
    properties = [
        {
            "name": each["name"],
            "required": not each["optional"],
            "key": each["key"],
            "secret": each["noEcho"],
            **{name: each[name] for name in ("queryable", "description") if name in each},
        }
        for each in declared.get("properties", ())
    ]
    urls = dict(declared.get("urls", {}))
    if "configurationUrl" in urls:
        urls["thirdPartyConfigurationUrl"] = urls.pop("configurationUrl")
    details = ("inputArtifactDetails", "outputArtifactDetails")
    return {
        "configurationProperties": properties,
        **({"settings": urls} if urls else {}),
        **{name: declared[name] for name in details},
    }


def _check_definition(definition: Request) -> None:
    for what in ("input", "output"):
        counts = definition[f"{what}ArtifactDetails"]
        if counts["minimumCount"] > counts["maximumCount"]:
            raise _invalid(f"{what}ArtifactDetails: minimumCount is above maximumCount")
    properties = definition.get("configurationProperties", [])
    _check_properties(properties)
    _check_templates(definition.get("settings", {}), properties)


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

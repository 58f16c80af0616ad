# SPDX-License-Identifier: Apache-2.0
"""Pipelines that are made by CreatePipeline: moto keeps them, and the emulator runs them."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

from airflow_codepipeline_partner.emulator.action_types import THIRD_PARTY, ActionType, ActionTypeId
from airflow_codepipeline_partner.emulator.core import Core
from airflow_codepipeline_partner.emulator.engine import Engine
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.pipelines import (
    DEFAULT_REGION,
    MASKED,
    SOURCE_CATEGORY,
    SUPERSEDED,
    Action,
    Pipeline,
    Stage,
)
from airflow_codepipeline_partner.emulator.validation import validate
from airflow_codepipeline_partner.emulator.variables import REFERENCE

Declaration = dict[str, Any]
AskMoto = Callable[[Declaration | None], tuple[int, bytes]]


class DeclaredPipelines:
    """
    Answer the calls that make, change and delete pipelines.

    Whatever moto takes, the emulator can run. Only where a worker has an action is the declaration checked as
    AWS does it: for all others moto's answers stay moto's.

    :param core: The state.
    :param engine: What runs pipelines.
    """

    OPERATIONS = frozenset({"CreatePipeline", "UpdatePipeline", "DeletePipeline"})

    def __init__(self, core: Core, engine: Engine) -> None:
        self._core = core
        self._engine = engine

    def answer(
        self, operation: str, request: Declaration, region: str | None, ask_moto: AskMoto
    ) -> tuple[int, bytes]:
        """
        Do a call.

        :param ask_moto: Lets moto do it, too; called with the request that moto gets instead, or None for the
            one that came. Returns the status and the body of moto's answer, which is the caller's.
        :raises ApiError: The call is refused.
        """
        known = validate(operation, request)
        region = region or DEFAULT_REGION
        with self._core.lock:
            now = self._core.tick()
            if operation == "DeletePipeline":
                status, body = ask_moto(None)
                former = self._core.pipelines.get(known["name"])
                if status == 200 and former is not None and former.declared_in == region:
                    self._engine.withdraw(former.name)
                    self._core.record("call", operation, now, pipeline_name=former.name)
                return status, body
            made = self._read(known["pipeline"], region, now)
            status, body = ask_moto(_masked(request, made))
            if status == 200:
                version = json.loads(body)["pipeline"]["version"]
                self._core.pipelines[made.name] = dataclasses.replace(made, version=version)
                self._core.executions.setdefault(made.name, [])
                self._core.record("call", operation, now, pipeline_name=made.name, client_id=made.client_id)
            return status, body

    def _read(self, declared: Declaration, region: str, now: float) -> Pipeline:
        name = declared["name"]
        former = self._core.pipelines.get(name)
        if former is not None and former.declared_in is None:
            raise ApiError("PipelineNameInUseException", f"A pipeline with the name '{name}' exists.")
        if former is not None and former.declared_in != region:
            # The names of moto's are each region's own.
            message = f"The emulator runs one pipeline of a name, and has {name} in {former.declared_in}."
            raise ApiError("NotImplementedException", message)
        stores = declared.get("artifactStores", {})
        store: Declaration = (
            declared.get("artifactStore") or stores.get(region) or next(iter(stores.values()), {})
        )
        pipeline = Pipeline(
            name=name,
            stages=tuple(
                Stage(
                    stage["name"],
                    tuple(self._action(stage["name"], each, former, region) for each in stage["actions"]),
                )
                for stage in declared["stages"]
            ),
            bucket=store.get("location", ""),
            encryption_key=store.get("encryptionKey", {}).get("id"),
            created_at=now if former is None else former.created_at,
            execution_mode=declared.get("executionMode", SUPERSEDED),
            variables={each["name"]: each.get("defaultValue") for each in declared.get("variables", ())},
            declared_in=region,
        )
        if any(action.makes_jobs for action in pipeline.actions()):
            for refusal in _faults(pipeline, has_store=bool(store)):
                raise refusal
        return pipeline

    def _action(self, stage_name: str, declared: Declaration, former: Pipeline | None, region: str) -> Action:
        type_id = ActionTypeId.of(declared["actionTypeId"])
        inputs, outputs = (
            tuple(each["name"] for each in declared.get(f"{what}Artifacts", ()))
            for what in ("input", "output")
        )
        action = Action(
            name=declared["name"],
            action_type=type_id,
            configuration=declared.get("configuration", {}),
            input_artifacts=inputs,
            output_artifacts=outputs,
            run_order=declared.get("runOrder", 1),
            namespace=declared.get("namespace"),
            region=declared.get("region"),
        )
        if not action.makes_jobs:
            return action
        known = self._action_type(action, region)
        # What is masked when it is read is unchanged when it comes back.
        before = _secrets(former, stage_name, action.name)
        configuration = {
            key: before.get(key, value) if value == MASKED else value
            for key, value in action.configuration.items()
        }
        plain = {key: REFERENCE.sub("x", value) for key, value in configuration.items()}
        for fault in known.faults_of(plain, len(inputs), len(outputs)):
            raise _invalid_action(f"Action {action.name} of the stage {stage_name}: {fault}.")
        return dataclasses.replace(
            action,
            configuration=configuration,
            secret_configuration_keys=known.secret_keys & configuration.keys(),
            client_id=self._client_id(action, former) if type_id.owner == THIRD_PARTY else None,
            queryable=known.queryable,
            execution_url_template=known.execution_url_template,
        )

    def _action_type(self, action: Action, region: str) -> ActionType:
        known = self._core.action_types.find(action.action_type)
        if known is None:
            parts = zip(("Category", "Owner", "Provider", "Version"), action.action_type, strict=True)
            named = ", ".join(f"{part}: '{value}'" for part, value in parts)
            raise _invalid_action(
                f"ActionType ({named}) in action '{action.name}' is not available in region {region}"
            )
        return known

    def _client_id(self, action: Action, former: Pipeline | None) -> str:
        """Return whose a partner's action is. A console would know by the customer's Connect."""
        chosen = former.client_id if former is not None else None
        chosen = chosen or self._core.settings.connected_client_id
        customers = list(self._core.customers)
        if chosen is None and len(customers) == 1:
            return customers[0]
        if chosen is None or chosen not in customers:
            raise _invalid_action(
                f"No customer of the partner's is connected to the action {action.name}: the emulator has "
                f"{len(customers)} customers; add one, or choose one by the setting connected_client_id."
            )
        return chosen


def _secrets(former: Pipeline | None, stage_name: str, action_name: str) -> dict[str, str]:
    for stage in former.stages if former is not None else ():
        for action in stage.actions:
            if (stage.name, action.name) == (stage_name, action_name):
                return {key: action.configuration[key] for key in action.secret_configuration_keys}
    return {}


def _masked(request: Declaration, made: Pipeline) -> Declaration | None:
    """Return the request with its secrets masked, as moto shows what it was told; None if it has none."""
    if not any(action.secret_configuration_keys for action in made.actions()):
        return None
    masked = copy.deepcopy(request)
    for stage, declared_stage in zip(made.stages, masked["pipeline"]["stages"], strict=True):
        for action, declared in zip(stage.actions, declared_stage["actions"], strict=True):
            for key in action.secret_configuration_keys:
                declared["configuration"][key] = MASKED
    return masked


def _faults(pipeline: Pipeline, has_store: bool) -> Iterator[ApiError]:
    """Yield what AWS does not take in a pipeline, and moto does."""
    if not has_store:
        yield _invalid_structure("The pipeline has no artifact store.")
    names = [stage.name for stage in pipeline.stages]
    if len(set(names)) < len(names):
        yield _invalid_structure("Each stage has a name of its own.")
    made: set[str] = set()
    for place, stage in enumerate(pipeline.stages):
        names = [action.name for action in stage.actions]
        if not names or len(set(names)) < len(names):
            message = f"The stage {stage.name} has one action or more, each with a name of its own."
            yield ApiError("InvalidStageDeclarationException", message)
        for action in stage.actions:
            if (action.action_type.category == SOURCE_CATEGORY) != (place == 0):
                yield _invalid_structure(
                    f"The first stage has source actions only, and no other has any: {action.name} of "
                    f"{stage.name} is of the category {action.action_type.category}."
                )
        for order in stage.run_orders():
            side_by_side = [action for action in stage.actions if action.run_order == order]
            for action in side_by_side:
                for name in action.input_artifacts:
                    if name not in made:
                        yield _invalid_structure(f"No action before {action.name} makes its input {name}.")
            for action in side_by_side:
                for name in action.output_artifacts:
                    if name in made:
                        yield _invalid_structure(f"More than one action makes the artifact {name}.")
                    made.add(name)


def _invalid_structure(message: str) -> ApiError:
    return ApiError("InvalidStructureException", message)


def _invalid_action(message: str) -> ApiError:
    return ApiError("InvalidActionDeclarationException", message)

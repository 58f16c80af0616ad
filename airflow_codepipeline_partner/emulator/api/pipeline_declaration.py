# SPDX-License-Identifier: Apache-2.0
"""Reads and checks a pipeline's declaration in AWS's shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError, ControlError
from airflow_codepipeline_partner.emulator.model.action_types import (
    AWS,
    PROVIDERS_OF_AWS,
    THIRD_PARTY,
    ActionTypeId,
    RegisteredActionType,
    not_available,
)
from airflow_codepipeline_partner.emulator.model.pipelines import (
    GITHUB_SECRET,
    GITHUB_SOURCE,
    MANUAL_APPROVAL,
    SOURCE_CATEGORY,
    SUPERSEDED,
    Action,
    Pipeline,
    Stage,
)
from airflow_codepipeline_partner.emulator.model.secret_masking import secrets_before, unmask
from airflow_codepipeline_partner.emulator.model.variables import REFERENCE, RESERVED_NAMESPACES

Declaration = dict[str, Any]


class PipelineReader:
    """
    Read declarations.

    A pipeline with an action of a worker is checked as AWS does; for all others moto's check is enough.

    :param state: The state, with the action types and the customers.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self, declared: Declaration, region: str, now: float, former: Pipeline | None) -> Pipeline:
        """
        Return the declared pipeline.

        :param region: The pipeline's region.
        :param former: The pipeline that it replaces.
        :raises ApiError: AWS would refuse it, or the emulator cannot run it.
        """
        name = declared["name"]
        if former is not None and former.declared_in != region:
            # In moto each region has names of its own.
            message = f"The emulator runs one pipeline of a name, and has {name} in {former.declared_in}."
            raise ApiError("NotImplementedException", message)
        store: Declaration = (
            declared.get("artifactStore") or declared.get("artifactStores", {}).get(region) or {}
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
            updated_at=now,
            execution_mode=declared.get("executionMode", SUPERSEDED),
            variables={each["name"]: each.get("defaultValue") for each in declared.get("variables", ())},
            declared_in=region,
        )
        if any(action.makes_jobs for action in pipeline.actions()):
            for refusal in (*_faults_of_store(declared, region), *_faults(pipeline)):
                raise refusal
        return pipeline

    def _action(self, stage_name: str, declared: Declaration, former: Pipeline | None, region: str) -> Action:
        type_id = ActionTypeId.of(declared["actionTypeId"])
        inputs, outputs = (
            tuple(each["name"] for each in declared.get(kind, ()))
            for kind in ("inputArtifacts", "outputArtifacts")
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
        if type_id == MANUAL_APPROVAL:
            link = "{Config:ExternalEntityLink}" if "ExternalEntityLink" in action.configuration else None
            return dataclasses.replace(
                action, entity_url_template=link, timeout_minutes=declared.get("timeoutInMinutes")
            )
        if "timeoutInMinutes" in declared:
            message = f"Only a manual approval has timeoutInMinutes, not the action {action.name}."
            raise _invalid_action(message)
        if not action.makes_jobs:
            self._refuse_workers_type(action, region)
            hidden = {GITHUB_SECRET} & action.configuration.keys() if type_id == GITHUB_SOURCE else ()
            return dataclasses.replace(action, secret_configuration_keys=frozenset(hidden))
        known = self._action_type(action, region)
        where = f"Action {action.name} of the stage {stage_name}"
        secret_keys = frozenset(known.secret_keys & action.configuration.keys())
        try:
            configuration = unmask(
                action.configuration, secret_keys, secrets_before(former, stage_name, action)
            )
        except KeyError as error:
            fault = f"{where}: {error.args[0]} is masked, and there was no value before."
            raise _invalid_action(fault) from None
        plain = {key: REFERENCE.sub("x", value) for key, value in configuration.items()}
        for fault in known.faults_of(plain, len(inputs), len(outputs)):
            raise _invalid_action(f"{where}: {fault}.")
        client_id = self._client_id(action, former) if type_id.owner == THIRD_PARTY else None
        try:
            return dataclasses.replace(
                action,
                configuration=configuration,
                secret_configuration_keys=secret_keys,
                client_id=client_id,
                queryable=known.queryable,
                execution_url_template=known.execution_url_template,
                entity_url_template=known.entity_url_template,
                revision_url_template=known.revision_url_template,
                job_timeout=known.job_timeout,
            )
        except ControlError as error:
            # A property in the action type's link was registered as a secret later.
            raise _invalid_action(f"{where}: {error}.") from None

    def _action_type(self, action: Action, region: str) -> RegisteredActionType:
        known = self._state.action_types.find(action.action_type, region)
        if known is None:
            raise _not_available(action, region)
        return known

    def _refuse_workers_type(self, action: Action, region: str) -> None:
        """Refuse a worker's action type with the owner AWS, if AWS has none of that name."""
        asked = action.action_type
        if asked.owner != AWS or asked.provider in PROVIDERS_OF_AWS:
            return
        for known in self._state.action_types.in_region(region):
            if (known.id.category, known.id.provider) == (asked.category, asked.provider):
                raise _not_available(action, region, f"; there is one of the owner {known.id.owner}")

    def _client_id(self, action: Action, former: Pipeline | None) -> str:
        """Return the customer of a partner's action. The console would know it from the Connect."""
        chosen = former.client_id if former is not None else None
        chosen = chosen or self._state.settings.connected_client_id
        customers = list(self._state.customers)
        if chosen is None and len(customers) == 1:
            return customers[0]
        if chosen is None or chosen not in customers:
            raise _invalid_action(
                f"No customer of the partner is connected to the action {action.name}: the emulator has "
                f"{len(customers)} customers; add one, or choose one by the setting connected_client_id."
            )
        return chosen


def _faults_of_store(declared: Declaration, region: str) -> Iterator[ApiError]:
    stores = [name for name in ("artifactStore", "artifactStores") if name in declared]
    if len(stores) != 1 or region not in declared.get("artifactStores", {region: {}}):
        yield _invalid_structure(f"It takes either artifactStore or artifactStores, with one for {region}.")
    if declared.get("pipelineType") == "V1" and (
        declared.get("variables") or declared.get("executionMode", SUPERSEDED) != SUPERSEDED
    ):
        yield _invalid_structure("Variables and execution modes beside SUPERSEDED need the pipeline type V2.")


def _faults(pipeline: Pipeline) -> Iterator[ApiError]:
    """Yield what AWS refuses in a pipeline's stages and moto accepts."""
    names = [stage.name for stage in pipeline.stages]
    if len(set(names)) < len(names):
        yield _invalid_structure("Each stage has a name of its own.")
    namespaces = [action.namespace for action in pipeline.actions() if action.namespace is not None]
    for name in sorted({each for each in namespaces if namespaces.count(each) > 1}):
        yield _invalid_action(f"The namespace {name} is that of more than one action.")
    for name in sorted(RESERVED_NAMESPACES.intersection(namespaces)):
        yield _invalid_action(f"The namespace {name} is CodePipeline's own.")
    yield from _faults_of_references(pipeline, RESERVED_NAMESPACES.union(namespaces))
    for place, stage in enumerate(pipeline.stages):
        names = [action.name for action in stage.actions]
        twice = sorted({each for each in names if names.count(each) > 1})
        if not names or twice:
            what = f"more than one action {twice[0]}" if twice else "no action"
            yield ApiError("InvalidStageDeclarationException", f"The stage {stage.name} has {what}.")
        for action in stage.actions:
            if (action.action_type.category == SOURCE_CATEGORY) != (place == 0):
                yield _invalid_structure(
                    f"The first stage has source actions only, and no other has any: {action.name} of "
                    f"{stage.name} is of the category {action.action_type.category}."
                )
    yield from _faults_of_artifacts(pipeline)


def _faults_of_references(pipeline: Pipeline, namespaces: frozenset[str]) -> Iterator[ApiError]:
    for stage in pipeline.stages:
        for action in stage.actions:
            for key, value in action.configuration.items():
                for found in REFERENCE.finditer(value):
                    if found[1] not in namespaces:
                        # A secret may hold what looks like a reference.
                        text = "" if key in action.secret_configuration_keys else f" {found[0]}"
                        yield _invalid_action(
                            f"The configuration property {key} of {action.name} in the stage {stage.name} "
                            f"has a reference{text} to a namespace that no action has."
                        )


def _faults_of_artifacts(pipeline: Pipeline) -> Iterator[ApiError]:
    made: set[str] = set()
    for stage in pipeline.stages:
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


def _not_available(action: Action, region: str, also: str = "") -> ApiError:
    said = not_available(action.action_type, f" in action '{action.name}'")
    return _invalid_action(f"{said} in region {region}{also}")


def _invalid_structure(message: str) -> ApiError:
    return ApiError("InvalidStructureException", message)


def _invalid_action(message: str) -> ApiError:
    return ApiError("InvalidActionDeclarationException", message)

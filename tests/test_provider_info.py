# SPDX-License-Identifier: Apache-2.0
"""What Airflow knows about this provider, against Airflow's own schemas and its own manager."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

import airflow_codepipeline_partner
from airflow_codepipeline_partner.provider_info import get_provider_info

INFO = get_provider_info()


def schema(name: str) -> dict[str, Any]:
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def complaints(value: Any, known: dict[str, Any]) -> list[str]:
    validator = jsonschema.validators.validator_for(known)
    return [error.message for error in validator(known).iter_errors(value)]


def test_it_fits_the_schema_that_airflow_checks_it_with():
    assert complaints(INFO, schema("provider_info.schema.json")) == []


@pytest.mark.parametrize(
    "connection_type", INFO["connection-types"], ids=lambda kind: kind["connection-type"]
)
def test_each_connection_type_fits_airflows_schema(connection_type):
    """The schema is that for provider files."""
    items = schema("provider.yaml.schema.json")["properties"]["connection-types"]["items"]
    # Airflow 3.1's schema knows neither form nor fields, and lets both pass; then the rest is checked.
    assert complaints(connection_type, items) == []
    if "ui-field-behaviour" in items["properties"]:
        known = items["properties"]["ui-field-behaviour"]["properties"]
        assert set(connection_type["ui-field-behaviour"]) <= set(known)
        # Airflow 3.2's schema does not name it, and lets it pass; 3.3's does.
        assert set(connection_type) - {"hook-name"} <= set(items["properties"])


def test_the_form_fits_the_schema_for_what_a_hook_returns():
    from airflow_codepipeline_partner.client_tokens import ClientTokenHook

    form = ClientTokenHook.get_ui_field_behaviour()
    assert complaints(form, schema("customized_form_field_behaviours.schema.json")) == []


def test_it_is_plain_json_and_a_new_one_each_time():
    assert json.loads(json.dumps(INFO)) == INFO
    assert get_provider_info() == INFO
    assert get_provider_info() is not INFO


def test_name_and_version_are_those_of_the_package():
    assert INFO["package-name"] == "airflow-codepipeline-partner"
    assert INFO["versions"] == [airflow_codepipeline_partner.__version__]
    assert importlib.metadata.version(INFO["package-name"]) == airflow_codepipeline_partner.__version__


def test_the_entry_point_leads_to_it():
    [entry_point] = [
        point
        for point in importlib.metadata.entry_points(group="apache_airflow_provider")
        if point.dist is not None and point.dist.name == "airflow-codepipeline-partner"
    ]
    assert entry_point.load() is get_provider_info


def named(value: Any) -> set[str]:
    """All texts in it that name something of ours."""
    if isinstance(value, dict):
        return set().union(*map(named, value.values()))
    if isinstance(value, list):
        return set().union(*map(named, value))
    return {value} if isinstance(value, str) and value.startswith("airflow_codepipeline_partner.") else set()


@pytest.mark.parametrize("name", sorted(named(INFO)))
def test_every_module_and_class_that_is_named_is_there(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        functions = {*INFO["cli"], *(each["class-name"] for each in INFO["task-decorators"])}
        assert isinstance(found, type) or name in functions


def test_every_integration_that_is_used_is_declared():
    declared = {integration["integration-name"] for integration in INFO["integrations"]}
    used = {
        each["integration-name"]
        for kind in ("hooks", "operators", "sensors", "triggers")
        for each in INFO[kind]
    }
    assert used == declared


def test_every_module_that_airflow_looks_for_is_named():
    """Modules of operators, sensors, triggers and hooks."""
    from airflow.sdk import BaseHook, BaseOperator
    from airflow.triggers.base import BaseTrigger

    package = Path(airflow_codepipeline_partner.__file__).parent
    for path in package.glob("*.py"):
        module = importlib.import_module(f"airflow_codepipeline_partner.{path.stem}")
        for value in vars(module).values():
            public = (
                isinstance(value, type) and value.__module__ == module.__name__ and value.__name__[0] != "_"
            )
            if not public or not issubclass(value, BaseOperator | BaseTrigger | BaseHook):
                continue
            names = {getattr(importlib.import_module(name), value.__name__, None) for name in modules_named()}
            # The parameters that operators and sensors share are none of their own.
            assert value in names or value.__name__ in ("CodePipelineBaseOperator", "ClaimingOperator"), value


def modules_named() -> set[str]:
    return {
        name
        for kind in ("hooks", "operators", "sensors", "triggers")
        for each in INFO[kind]
        for name in each["python-modules"]
    }


# In a process of its own: what is found is of the installed packages, and is kept for the process's life.
# The service of the user interface is asked for the form, since on Airflow 3.1 only that has what it needs
# to read it without flask_appbuilder.
PROGRAM = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
[shown] = [m for m in HookMetaService.hook_meta_data() if m.connection_type == "codepipeline_partner_client"]
hook = manager.hooks["codepipeline_partner_client"]
ours = "airflow-codepipeline-partner"
print(json.dumps({
    "hook": [hook.hook_class_name, hook.hook_name, hook.connection_id_attribute_name, hook.package_name],
    "shown": [shown.hook_name, shown.extra_fields or {}, shown.standard_fields.model_dump()],
    "notifications": [str(name) for name in manager.notification if "codepipeline_partner" in str(name)],
    "links": [name for name in manager.extra_links_class_names if "codepipeline_partner" in name],
    "triggers": [each.trigger_class_name for each in manager.trigger if each.package_name == ours],
    "decorators": [name for name in manager.taskflow_decorators if "codepipeline" in name],
    # From Airflow 3.2 on.
    "commands": [
        command.name
        for function in getattr(manager, "cli_command_functions", ())
        if function.__module__.startswith("airflow_codepipeline_partner")
        for command in function()
    ],
    "version": manager.providers[ours].version,
}))
"""
PACKAGE = "airflow_codepipeline_partner"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_airflows_manager_finds_the_provider_in_its_version(found):
    assert found["version"] == airflow_codepipeline_partner.__version__


def test_airflows_manager_finds_the_hook_of_the_connection_type(found):
    assert found["hook"] == [
        f"{PACKAGE}.client_tokens.ClientTokenHook",
        "CodePipeline partner client",
        "client_conn_id",
        "airflow-codepipeline-partner",
    ]


def test_airflows_manager_finds_the_task_decorator(found):
    assert found["decorators"] == ["codepipeline_job"]


def test_airflows_manager_finds_the_commands_where_it_knows_any(found):
    from airflow.providers_manager import ProvidersManager

    knows_any = hasattr(ProvidersManager, "cli_command_functions")
    assert found["commands"] == (["codepipeline-partner"] if knows_any else [])


def test_airflows_manager_finds_notifier_link_and_triggers(found):
    [notifier] = found["notifications"]
    assert f"{PACKAGE}.notifications.CodePipelineJobFailureNotifier" in notifier
    assert sorted(found["links"]) == [
        f"{PACKAGE}.links.CodePipelineExecutionLink",
        f"{PACKAGE}.links.CodePipelineLink",
    ]
    assert found["triggers"] == [f"{PACKAGE}.triggers"]


def test_the_interface_shows_client_id_and_token_only(found):
    name, extra_fields, fields = found["shown"]
    assert name == "CodePipeline partner client"
    assert extra_fields == {}
    for hidden in ("url_schema", "host", "port"):
        assert fields[hidden]["hidden"] is True
    for field, title in (("login", "Client ID"), ("password", "Client token")):
        assert fields[field]["hidden"] is False
        assert fields[field]["title"] == title
        assert fields[field]["placeholder"]

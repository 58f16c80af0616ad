# SPDX-License-Identifier: Apache-2.0
"""Checks of versions: this package, Airflow, the amazon provider, boto3 and its model of CodePipeline."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from airflow_codepipeline_partner import __version__
from airflow_codepipeline_partner._protocol.dialects import DIALECTS
from airflow_codepipeline_partner.doctor.findings import CannotCheck, Finding, failed, passed, unknown
from airflow_codepipeline_partner.pipelines.policies import PURPOSES

_PACKAGE = "airflow-codepipeline-partner"
_AIRFLOW = "apache-airflow"
#: The newest Airflow that this version is tested with.
NEWEST_AIRFLOW = (3, 3)
_SHOWN = (_AIRFLOW, "apache-airflow-providers-amazon", "boto3")
#: Operation → the newest members of a call that this package sends.
_MEMBERS = {"PutJobSuccessResult": ("outputVariables",), "StartPipelineExecution": ("sourceRevisions",)}


def check_versions(installed: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """
    Check that what is installed is what this package needs.

    :param installed: Package → version. If None, of this environment.
    """
    yield passed(f"{_PACKAGE} {__version__}, on Python {platform.python_version()}.", _PACKAGE)
    needed = requirements()
    for name in _SHOWN:
        found = _version_of(name) if installed is None else installed.get(name)
        specifier = needed[name].specifier
        if found is None:
            yield unknown(f"The version of {name} is not known.", f"{name}{specifier} is needed.", name)
        elif not specifier.contains(found, prereleases=True):
            yield failed(f"{name} {found} is installed.", f"Install {name}{specifier}.", name)
        elif name == _AIRFLOW and Version(found).release[:2] > NEWEST_AIRFLOW:
            newest = ".".join(map(str, NEWEST_AIRFLOW))
            yield unknown(
                f"{name} {found} is installed; this version is tested up to {newest}.",
                f"Upgrade {_PACKAGE}, if there is a newer one.",
                name,
            )
        else:
            yield passed(f"{name} {found}.", name)


def requirements() -> dict[str, Requirement]:
    """
    Return what this package needs, by name.

    :raises CannotCheck: It is not installed as a package.
    """
    try:
        given = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise CannotCheck(f"{_PACKAGE} is not installed as a package.", "Install it with pip.") from None
    return {each.name: each for each in map(Requirement, given) if each.marker is None}


def _version_of(name: str) -> str | None:
    # Airflow's core may be installed by itself.
    for each in (name, f"{name}-core"):
        try:
            return metadata.version(each)
        except metadata.PackageNotFoundError:
            continue
    return None


def check_service_model(model: Mapping[str, Any] | None = None) -> Finding:
    """
    Check that boto3 knows all calls that this package makes.

    :param model: boto3's model of CodePipeline. If None, that of this environment.
    """
    if model is None:
        from botocore.loaders import Loader

        model = Loader().load_service_model("codepipeline", "service-2")
    missing = missing_calls(model)
    if missing:
        return failed(
            f"boto3 does not know {', '.join(missing)}.",
            "Upgrade boto3 and botocore; AWS_DATA_PATH may hide them.",
        )
    return passed("boto3 knows all calls of CodePipeline that are made.")


def missing_calls(model: Mapping[str, Any]) -> list[str]:
    """Return the operations, and members of their requests, that a model of CodePipeline lacks."""
    calls = {
        operation
        for each in DIALECTS.values()
        for operation in (each.poll, each.details, each.acknowledge, each.success, each.failure)
    } | {operation for used in PURPOSES.values() for operation in used}
    operations, shapes = model.get("operations", {}), model.get("shapes", {})
    missing = sorted(calls - set(operations))
    for operation, members in _MEMBERS.items():
        shape = shapes.get(operations.get(operation, {}).get("input", {}).get("shape"), {})
        if operation in operations:
            missing += [f"{operation}.{name}" for name in members if name not in shape.get("members", {})]
    return missing

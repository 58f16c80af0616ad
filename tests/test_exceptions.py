# SPDX-License-Identifier: Apache-2.0
"""The tree of errors, what each says, and what the core may import."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
import subprocess
import sys

import pytest

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner._limits import FAILURE_TYPES
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    ArtifactError,
    ClientConnectionError,
    CodePipelineError,
    CodePipelineProviderError,
    ExecutionNotSucceeded,
    InvalidClientToken,
    InvalidInput,
    InvalidJobReference,
    InvalidNonce,
    JobFailure,
    JobNotFound,
    JobNotInProgress,
    LimitExceeded,
    NextJobNotOffered,
    PipelineNotFound,
    RequestRefused,
    ServiceUnavailable,
    UnsafeArchive,
)

#: Class → its parent, the failure type a job ends with because of it, whether a retry may help.
TREE = {
    CodePipelineProviderError: (Exception, "JobFailed", False),
    JobFailure: (CodePipelineProviderError, "JobFailed", False),
    InvalidInput: (CodePipelineProviderError, "ConfigurationError", False),
    LimitExceeded: (InvalidInput, "ConfigurationError", False),
    InvalidJobReference: (InvalidInput, "ConfigurationError", False),
    ClientConnectionError: (InvalidInput, "ConfigurationError", False),
    ArtifactError: (CodePipelineProviderError, "JobFailed", False),
    UnsafeArchive: (ArtifactError, "JobFailed", False),
    CodePipelineError: (CodePipelineProviderError, "SystemUnavailable", False),
    ActionTypeNotFound: (CodePipelineError, "ConfigurationError", False),
    JobNotFound: (CodePipelineError, "SystemUnavailable", False),
    InvalidClientToken: (CodePipelineError, "PermissionError", True),
    JobNotInProgress: (CodePipelineError, "SystemUnavailable", False),
    NextJobNotOffered: (CodePipelineError, "SystemUnavailable", False),
    PipelineNotFound: (CodePipelineError, "ConfigurationError", False),
    ExecutionNotSucceeded: (CodePipelineError, "JobFailed", False),
    InvalidNonce: (CodePipelineError, "SystemUnavailable", False),
    RequestRefused: (CodePipelineError, "SystemUnavailable", True),
    ServiceUnavailable: (CodePipelineError, "SystemUnavailable", True),
}
CLASSES = sorted(TREE, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_is_the_same_after_its_way_as_a_text(cls):
    back = exceptions.from_description(exceptions.described(cls("What: happened")))
    assert type(back) is cls
    assert str(back) == "What: happened"


@pytest.mark.parametrize("text", ["", "no such thing", "Any: thing", "ValueError: thing"])
def test_a_text_of_another_kind_is_an_error_too(text):
    back = exceptions.from_description(text)
    assert type(back) is CodePipelineError
    assert str(back) == text


def test_these_are_all_the_errors():
    found = {
        cls
        for _, cls in inspect.getmembers(exceptions, inspect.isclass)
        if cls.__module__ == exceptions.__name__
    }
    assert found == set(TREE)


def test_the_tree_that_is_drawn_is_the_tree_that_is_there():
    drawn: dict[str, str | None] = {}
    line_of_parents: list[str] = []
    for line in (exceptions.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            line_of_parents = [*line_of_parents[:depth], found[2]]
            drawn[found[2]] = line_of_parents[-2] if depth else None
    real = {
        cls.__name__: None if cls is CodePipelineProviderError else parent.__name__
        for cls, (parent, _, _) in TREE.items()
    }
    assert drawn == real


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_knows_its_failure_type(cls):
    """And its parent, and whether a retry may help."""
    parent, failure_type, retryable = TREE[cls]
    assert cls.__bases__[0] is parent
    assert cls.failure_type == failure_type
    assert cls.failure_type in FAILURE_TYPES
    assert cls.retryable is retryable


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        ("AccessDeniedException", True),
        ("ExpiredTokenException", True),
        ("NoCredentialsError", True),
        ("ValidationException", False),
        ("ParamValidationError", False),
    ],
)
def test_a_retry_helps_unless_the_request_itself_is_wrong(code, helps):
    assert RequestRefused("m", code=code).retryable is helps
    assert copy.copy(RequestRefused("m", code=code)).retryable is helps


def test_wrong_input_is_a_value_error():
    assert issubclass(InvalidInput, ValueError)


def example(cls):
    facts = {"job_id": "job-1"}
    if issubclass(cls, LimitExceeded):
        facts["field"] = "jobId"
    if issubclass(cls, JobFailure):
        facts["failure_type"] = "PermissionError"
    if issubclass(cls, ClientConnectionError):
        facts["conn_id"] = "codepipeline_client_x"
    if issubclass(cls, CodePipelineError):
        facts |= {"code": "SomeException", "in_doubt": True}
    return cls("What happened.", **facts), facts


@pytest.mark.parametrize("again", [pickle.loads, None], ids=["pickle", "copy"])
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_survives_pickling_with_all_its_facts(cls, again):
    """And copying."""
    error, facts = example(cls)
    twin = again(pickle.dumps(error)) if again else copy.copy(error)
    assert type(twin) is cls
    assert str(twin) == "What happened."
    assert twin.args == ("What happened.",)
    assert twin.message == "What happened."
    for name, fact in facts.items():
        assert getattr(twin, name) == fact


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_needs_no_more_than_its_message(cls):
    error = pickle.loads(pickle.dumps(cls("What happened.")))  # noqa: S301 - our own bytes
    assert str(error) == "What happened."
    assert error.job_id is None


# What the core may import; each in a process of its own, since this one has imported everything.


PROTOCOL = tuple(
    f"_protocol.{name}"
    for name in (
        "claims",
        "continuation_tokens",
        "dialects",
        "jobs",
        "parsing",
        "requests",
        "responses",
        "results",
    )
)


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_core_and_the_emulator_import_no_airflow():
    names = ("jobs", "exceptions", "emulator", "_limits", *PROTOCOL)
    imports = "\n".join(f"import airflow_codepipeline_partner.{name}" for name in names)
    modules = modules_after(imports)
    assert {f"airflow_codepipeline_partner.{name}" for name in names} <= modules
    assert "airflow" not in packages(modules)


def test_the_core_without_the_emulator_imports_no_sdk_either():
    names = ("jobs", "exceptions", "_limits", *PROTOCOL)
    modules = modules_after("\n".join(f"import airflow_codepipeline_partner.{name}" for name in names))
    assert packages(modules).isdisjoint({"airflow", "boto3", "botocore", "moto", "tenacity"})


def test_the_emulator_imports_nothing_of_the_client():
    modules = modules_after("import airflow_codepipeline_partner.emulator")
    ours = {name for name in modules if name.startswith("airflow_codepipeline_partner.")}
    assert {name for name in ours if not name.startswith("airflow_codepipeline_partner.emulator")} == set()


@pytest.mark.parametrize(
    "statement",
    [
        "import airflow_codepipeline_partner",
        "from airflow_codepipeline_partner.provider_info import get_provider_info; get_provider_info()",
    ],
)
def test_what_airflow_reads_at_each_start_is_light(statement):
    modules = modules_after(statement)
    before = modules_after("pass")
    added = packages(modules - before)
    assert added <= {"airflow_codepipeline_partner", *sys.stdlib_module_names}
    assert not [name for name in modules - before if name.startswith("asyncio")]


def test_what_a_dag_file_imports_loads_no_boto3():
    names = ("client_tokens", "operators", "sensors", "triggers", "notifications", "links", "decorators")
    modules = modules_after("\n".join(f"import airflow_codepipeline_partner.{name}" for name in names))
    assert packages(modules).isdisjoint({"boto3", "botocore", "moto"})

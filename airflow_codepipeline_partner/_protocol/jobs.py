# SPDX-License-Identifier: Apache-2.0
"""
Action types and jobs, as frozen, checked values.

``from_value`` reads a user's value: one of these classes, a mapping with AWS's or snake_case keys, or a
string with such a mapping, as Jinja renders it. ``to_api`` returns AWS's shape. ``to_xcom`` returns the
values that may be in XCom. Responses of CodePipeline are read leniently: every member of a job's data is
optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from airflow_codepipeline_partner._protocol.dialects import CUSTOM, THIRD_PARTY, Dialect, dialect_of
from airflow_codepipeline_partner._protocol.parsing import (
    by_snake_case,
    check_text,
    read_mapping,
    read_query_param,
)
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.job_details import Artifact, JobDetails


@dataclass(frozen=True)
class ActionType:
    """
    A kind of action, as CodePipeline names it.

    :param category: One of Source, Build, Deploy, Test, Invoke, Approval, Compute.
    :param provider: The provider's name, 1 to 35 of ``0-9 A-Z a-z _ -``.
    :param version: The version, 1 to 9 of ``0-9 A-Z a-z _ -``.
    :param owner: ``ThirdParty`` for a partner's action, ``Custom`` for an action of the account.
    :raises LimitExceeded: A member does not fit.

    Source: ActionTypeId, CodePipeline API 2015-07-09.
    """

    category: str
    provider: str
    version: str = "1"
    owner: str = THIRD_PARTY

    def __post_init__(self) -> None:
        for part in fields(self):
            checked = check_text(f"actionTypeId.{part.name}", getattr(self, part.name))
            object.__setattr__(self, part.name, checked)

    @classmethod
    def from_value(cls, value: object) -> Self:
        """
        Return the action type from a value.

        :param value: An ActionType, a mapping in AWS's shape, a string that holds such a mapping, or the text
            ``category/owner/provider/version``.
        :raises InvalidInput: The value is not an action type.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and value.count("/") == 3:
            category, owner, provider, version = value.strip().split("/")
            return cls(category=category, owner=owner, provider=provider, version=version)
        names = {part.name: part.name for part in fields(cls)}
        given = by_snake_case(value, "An action type (or its text category/owner/provider/version)", names)
        for required in ("category", "provider"):
            if given.get(required) is None:
                raise InvalidInput(
                    f"An action type needs {required}; it has category, provider, version, owner."
                )
        return cls(**given)

    @property
    def dialect(self) -> Dialect:
        """
        How jobs of this action type are polled for, claimed and reported.

        :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker
            can poll for them.
        """
        return dialect_of(self.owner, self)

    def check_served(self) -> None:
        """
        Check that a worker can poll for jobs of this action type.

        :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker
            can poll for them.
        """
        dialect_of(self.owner, self)

    def to_api(self) -> dict[str, str]:
        """Return AWS's shape, which is also the shape in XCom."""
        return {
            "category": self.category,
            "owner": self.owner,
            "provider": self.provider,
            "version": self.version,
        }

    def __str__(self) -> str:
        """Return ``category/owner/provider/version``, as :meth:`from_value` takes it."""
        return "/".join(self.to_api().values())


def check_query_param(action_type: ActionType, value: object) -> dict[str, str] | None:
    """
    Return the query of a poll, or None.

    :param action_type: The action type that is polled for.
    :param value: A mapping of one name to one value, or None.
    :raises InvalidInput: The value is not a query, or polls for this owner have none.
    """
    query = read_query_param(value)
    if query is not None and not action_type.dialect.takes_query_param:
        raise InvalidInput(
            f"query_param is for custom action types; polls for owner {action_type.owner} have none "
            f"({action_type})."
        )
    return query


@dataclass(frozen=True)
class OfferedJob:
    """
    A job that a poll offered. It is not yet claimed.

    :param job_id: The job's id.
    :param client_id: The customer's client id, by which the client token is looked up. None for a custom job.
    :param action_type: The action type that was polled for, or None if it is not known.
    :param nonce: The nonce of a custom job. It can be used once, and only until the job is offered again. For
        partner jobs it is None.
    :param query_param: The query of the poll for a custom job, or None. The polls for the action's next job
        have the same query.
    :param continuation_token: The token that the job carries, or None. Only a poll for custom jobs returns
        the token. It is not stored in XCom.

    Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
    """

    job_id: str
    client_id: str | None = None
    action_type: ActionType | None = None
    nonce: str | None = field(default=None, repr=False)
    query_param: Mapping[str, str] | None = field(default=None, hash=False)
    # Whether the continuation token, or that there is none, is known.
    _is_token_known: bool = field(default=False, repr=False, compare=False)
    continuation_token: str | None = field(default=None, repr=False, compare=False)

    @property
    def owner(self) -> str:
        """The action type's owner, which decides which API is called. Only a partner job has a client."""
        if self.action_type is not None:
            return self.action_type.owner
        return CUSTOM if self.client_id is None else THIRD_PARTY

    @property
    def dialect(self) -> Dialect:
        """
        How the job is claimed and reported.

        :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker
            can poll for them.
        """
        return dialect_of(self.owner, self.action_type)

    def check_served(self) -> None:
        """
        Check that a worker can work on the job.

        :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker
            can poll for them.
        """
        dialect_of(self.owner, self.action_type)

    def check_claimable(self) -> None:
        """
        Check that the job can be claimed.

        :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker can poll for
            them. Or it is a custom job without the nonce of its offer.
        """
        if self.dialect.poll_gives_nonce and not self.nonce:
            raise InvalidJobReference(
                f"The custom job {self.job_id} needs nonce, which its poll gave: it is claimed with that.",
                job_id=self.job_id,
            )

    @classmethod
    def from_value(cls, value: object, *, owner: str = THIRD_PARTY) -> OfferedJob:
        """
        Return the job from a value: one of these classes, or a mapping.

        A partner job needs ``job_id`` and ``client_id``. A custom job needs ``job_id`` and ``action_type``
        and, to be claimed, ``nonce``. Other keys are ignored, so a claimed job's XCom is accepted too.

        :param value: The job.
        :param owner: The owner, ``ThirdParty`` or ``Custom``, if the value does not name it.
        :raises InvalidJobReference: The value does not name a job.
        """
        if isinstance(value, ClaimedJob):
            return value.job
        if isinstance(value, cls):
            return value
        try:
            given = read_mapping(value, "A job")
        except InvalidInput as error:
            one = "one of the jobs that the sensor returned" if isinstance(value, list) else "one job"
            raise InvalidJobReference(
                f"{error} Give {one}, what the claim returned, or a mapping with job_id and client_id (a "
                "partner's job) or action_type (a custom one)."
            ) from None
        job_id = given.get("job_id")
        if not isinstance(job_id, str):
            kind, cause = f", and job_id is of type {type(job_id).__name__}", ""
            if job_id is None:
                kind, cause = "", " Was the run started by hand? Start it with a job, as dispatch_jobs does."
            raise InvalidJobReference(
                f"A job needs job_id and client_id, which are strings; {_names_of(given)} was given{kind}."
                f"{cause} (A custom job needs action_type in the place of client_id.)"
            )
        check_text("jobId", job_id)
        polled_for = given.get("action_type")
        action_type = None if polled_for is None else ActionType.from_value(polled_for)
        client_id = given.get("client_id") or None
        if action_type is not None:
            owner = action_type.owner
        elif client_id is not None:
            # Only a partner's job has one.
            owner = THIRD_PARTY
        if owner != THIRD_PARTY:
            nonce = given.get("nonce") or None
            if nonce is not None:
                # A number of any size, if a template was rendered natively, or in a conf written by hand.
                digits = isinstance(nonce, int) and not isinstance(nonce, bool)
                nonce = check_text("nonce", str(nonce) if digits else nonce, job_id=job_id)
            query_param = read_query_param(given.get("query_param"))
            return cls(job_id, None, action_type, nonce, query_param)
        if not isinstance(client_id, str):
            raise InvalidJobReference(
                f"The partner job {job_id} needs client_id, a string: the client token is looked up by it. "
                "(A custom job is known by its action_type.)",
                job_id=job_id,
            )
        return cls(job_id, client_id, action_type)

    def __str__(self) -> str:
        """Name the job, for errors and logs."""
        return f"job {self.job_id}" + ("" if self.client_id is None else f" (client {self.client_id})")

    def to_xcom(self) -> dict[str, Any]:
        """Return the values that may be in XCom: a reference to the job, never its data."""
        reference: dict[str, Any] = {
            "job_id": self.job_id,
            "client_id": self.client_id,
            "action_type": None if self.action_type is None else self.action_type.to_api(),
        }
        of_custom_jobs = {"nonce": self.nonce, "query_param": self.query_param}
        return reference | {name: value for name, value in of_custom_jobs.items() if value is not None}


def _names_of(mapping: Mapping[str, Any]) -> str:
    """Return a mapping's keys for an error; its values may be secrets, the keys of a job are not."""
    if not mapping:
        return "an empty mapping"
    return "a mapping with the keys " + ", ".join(sorted(str(key)[:40] for key in mapping)[:10])


@dataclass(frozen=True)
class ClaimedJob:
    """
    A job that this worker claimed, and for which it reports exactly one result.

    It holds no credentials, and no configuration value except the one in ``query_param``. If you need them,
    call the hook's :meth:`~airflow_codepipeline_partner.hooks.CodePipelineHook.details`.

    :param job: The job that was offered.
    :param certain: False if the answer to the acknowledgement was lost, so that another worker may have the
        job.
    :param continuation_token: The token that ended the action's former job, or None.
    :param pipeline_name: Name of the customer's pipeline, or None.
    :param stage_name: Name of the stage, or None.
    :param action_name: Name of the action, or None.
    :param action_execution_id: The id that all jobs of one run of the action share, or None.
    :param account_id: The pipeline's AWS account. Only for a custom job.
    :param pipeline_arn: The pipeline's ARN. Only for a custom job.
    :param pipeline_execution_id: The id of the pipeline's run. Only for a custom job.
    :param input_artifacts: The action's input artifacts.
    :param output_artifacts: The action's output artifacts, with the places to upload them.
    """

    job: OfferedJob
    certain: bool = True
    continuation_token: str | None = None
    pipeline_name: str | None = None
    stage_name: str | None = None
    action_name: str | None = None
    action_execution_id: str | None = None
    account_id: str | None = None
    pipeline_arn: str | None = None
    pipeline_execution_id: str | None = None
    input_artifacts: tuple[Artifact, ...] = ()
    output_artifacts: tuple[Artifact, ...] = ()

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.job.job_id

    @property
    def client_id(self) -> str | None:
        """The customer's client id. None for a custom job."""
        return self.job.client_id

    @property
    def owner(self) -> str:
        """The action type's owner: ``ThirdParty`` for a partner job, ``Custom`` for a custom job."""
        return self.job.owner

    @property
    def action_type(self) -> ActionType | None:
        """The action type that was polled for, or None if it is not known."""
        return self.job.action_type

    @classmethod
    def from_details(cls, job: OfferedJob, details: JobDetails) -> Self:
        """Return the claimed job with everything in the details that is not secret."""
        names = (*_CONTEXT_NAMES, *_CUSTOM_NAMES, *_ARTIFACT_NAMES)
        members: dict[str, Any] = {name: getattr(details, name) for name in names}
        return cls(job=job, **members)

    @classmethod
    def from_value(cls, value: object) -> Self:
        """
        Return the claimed job from a value: XCom, or one of these classes.

        :raises InvalidJobReference: The value is not a job.
        """
        if isinstance(value, cls):
            return value
        # A DAG file has no claimed job with artifacts, only a task has.
        from airflow_codepipeline_partner._protocol.job_details import Artifact

        job = OfferedJob.from_value(value)
        if isinstance(value, OfferedJob):
            return cls(job)
        given = read_mapping(value, "A claimed job")
        members: dict[str, Any] = {name: given.get(name) for name in (*_CONTEXT_NAMES, *_CUSTOM_NAMES)}
        for name in _ARTIFACT_NAMES:
            members[name] = tuple(
                Artifact.from_xcom(artifact, job.job_id) for artifact in _listed(given, name)
            )
        return cls(job=job, certain=bool(given.get("certain", True)), **members)

    def to_xcom(self) -> dict[str, Any]:
        """Return the values that may be in XCom: the offered job, and its details that are not secret."""
        return {
            **self.job.to_xcom(),
            "certain": self.certain,
            **{name: getattr(self, name) for name in _CONTEXT_NAMES},
            **{name: value for name in _CUSTOM_NAMES if (value := getattr(self, name)) is not None},
            **{name: [artifact.to_xcom() for artifact in getattr(self, name)] for name in _ARTIFACT_NAMES},
        }


def _listed(given: Mapping[str, Any], name: str) -> list[Any]:
    """Return a member as a list; anything else than a list or None is one wrong entry."""
    value = given.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]


_CONTEXT_NAMES = (
    "continuation_token",
    "pipeline_name",
    "stage_name",
    "action_name",
    "action_execution_id",
)
#: Only the details of custom jobs have these.
_CUSTOM_NAMES = ("account_id", "pipeline_arn", "pipeline_execution_id")
_ARTIFACT_NAMES = ("input_artifacts", "output_artifacts")

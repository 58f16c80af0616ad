# SPDX-License-Identifier: Apache-2.0
"""The parameters that every operator and sensor takes, and the checks of literals when a DAG is parsed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE, check_template
from airflow_codepipeline_partner._compat import conf, is_resolved_later
from airflow_codepipeline_partner._job_log import label_instance
from airflow_codepipeline_partner._protocol.dialects import THIRD_PARTY
from airflow_codepipeline_partner._protocol.jobs import ActionType, ClaimedJob, OfferedJob, check_query_param
from airflow_codepipeline_partner._protocol.parsing import read_query_param
from airflow_codepipeline_partner._templates import TextTemplates
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.links import CodePipelineLink, pipeline_url

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

_JINJA_MARKS = ("{{", "{%", "{#")
#: The longest time that a parameter may name, in seconds: about 300 years.
MAX_SECONDS = 1e10
#: The longest timeout of a job that an action type can have, in seconds.
MAX_JOB_TIMEOUT = 43_200


class CodePipelineBaseOperator(TextTemplates, BaseOperator):
    """
    An operator or sensor that talks to CodePipeline.

    :param aws_conn_id: The ``aws`` connection with credentials, region, role and endpoint. If None, boto3's
        default credentials are used. (templated)
    :param region_name: The region of the jobs. If None, the connection's region is used. (templated)
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle. If None, boto3's default is
        used. (templated)
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: The template of a client's connection id. ``{client_id}`` stands for the
        client id, with ``_`` instead of ``-``. The password of that connection is the client token.
        (templated)
    """

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "verify", "client_conn_id_template")
    operator_extra_links: Collection[BaseOperatorLink] = (CodePipelineLink(),)
    ui_color = "#d7e9f7"

    #: The address of the link, once the task knows it.
    pipeline_url: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have what is refused at construction name the task: Airflow's page of import errors does not."""
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _naming_the_task(cls.__init__)  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_literal(check_template, client_conn_id_template)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.client_conn_id_template = client_conn_id_template

    @cached_property
    def hook(self) -> CodePipelineHook:
        """The hook with these parameters."""
        return AwsParameters.of(self).hook()

    def show_job(self, context: Any, job: ClaimedJob) -> None:
        """
        Show on the task's page which job it is about: an instance's name, and a link to the pipeline.

        A partner's job has no link: the pipeline is in the customer's account, which the partner cannot open.

        :param context: The task's context.
        :param job: The job.
        """
        label_instance(context, job)
        if job.owner != THIRD_PARTY:
            self.show_link(job.pipeline_name)

    def show_link(self, pipeline_name: str | None) -> None:
        """
        Link the task's page to a pipeline.

        :param pipeline_name: The pipeline, or None if the job's details have none.
        """
        if not pipeline_name:
            return
        try:
            self.pipeline_url = pipeline_url(*self.hook.location, pipeline_name)
        except Exception as error:
            # A link is an extra: it never fails a task, least of all one that has claimed or reported.
            self.log.warning("There is no link to the pipeline: %s.", type(error).__name__)


class MayDefer:
    """What waits on the worker or in the triggerer."""

    @cached_property
    def deferrable(self) -> bool:
        """Whether it waits in the triggerer. Airflow's default is looked up only if it matters."""
        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def _naming_the_task(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except InvalidInput as refusal:
            kind = getattr(type(self), "custom_operator_name", None) or type(self).__name__
            refusal.name_task(f"{kind} {kwargs.get('task_id', '')}".rstrip())
            raise

    return wrapped


def is_known_later(value: object) -> bool:
    """Return whether a value, or a part of it, is rendered or pulled only in the task."""
    if isinstance(value, str):
        return any(mark in value for mark in _JINJA_MARKS)
    if isinstance(value, Mapping):
        return any(map(is_known_later, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_known_later, value))
    return is_resolved_later(value)


def check_literal(check: Callable[[Any], object], value: object, /, **stand_ins: object) -> None:
    """
    Check a value at construction as far as it is known then.

    :param check: Raises InvalidInput if the value does not fit.
    :param value: What was given; None is not checked.
    :param stand_ins: For a mapping, what fits in the place of a member that is known later, by both
        spellings of its name; other such members are left out of the check.
    """
    if isinstance(value, Mapping):
        known = {
            key: stand_ins.get(str(key)) if is_known_later(member) else member
            for key, member in value.items()
        }
        check(known)
    elif value is not None and not is_known_later(value):
        check(value)


def check_seconds(name: str, seconds: float) -> float:
    """
    Return a number of seconds with which a date can be computed.

    :raises InvalidInput: It is not.
    """
    if not abs(seconds) <= MAX_SECONDS:
        raise InvalidInput(f"{name} must be at most {MAX_SECONDS:g} seconds; {seconds:g} was given.")
    return seconds


def check_positive(name: str, seconds: float) -> float:
    """
    Return a number of seconds that is more than 0, and with which a date can be computed.

    :raises InvalidInput: It is not.
    """
    if not seconds > 0:
        raise InvalidInput(f"{name} must be more than 0 seconds; {seconds:g} was given.")
    return check_seconds(name, seconds)


def read_seconds(name: str, value: Any) -> float:
    """
    Return the seconds, more than 0, that a number or a text that Jinja rendered holds.

    :raises InvalidInput: It is not a number of seconds.
    """
    try:
        return check_positive(name, float(value))
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{name} must be a number of seconds, not a {type(value).__name__}.") from None


def read_job_timeout(value: Any) -> float:
    """
    Return a job's timeout in seconds.

    :raises InvalidInput: It is not a number of seconds, or longer than AWS allows.
    """
    seconds = read_seconds("job_timeout", value)
    if seconds > MAX_JOB_TIMEOUT:
        raise InvalidInput(
            f"job_timeout must be at most {MAX_JOB_TIMEOUT} seconds, the most that AWS allows for an action "
            f"type; {seconds:g} was given."
        )
    return seconds


def check_job(job: object) -> None:
    """
    Check a job at construction, if it is known then.

    :raises InvalidInput: The value is not a job, or its owner is ``AWS``.
    """
    if not is_known_later(job):
        OfferedJob.from_value(job).check_served()


def check_job_to_claim(job: object) -> None:
    """
    Check at construction that a job can be claimed, if it is known then.

    :raises InvalidInput: The value is not a job, or the job cannot be claimed.
    """
    if not is_known_later(job):
        OfferedJob.from_value(job).check_claimable()


def check_action_type(action_type: object, query_param: object = None) -> None:
    """
    Check what is to be polled for, as far as it is known at construction.

    :raises InvalidInput: The owner is ``AWS``, or a poll for the action type has no such query.
    """
    if not is_known_later(query_param):
        check_literal(read_query_param, query_param)
    if is_known_later(action_type):
        return
    kind = ActionType.from_value(action_type)
    kind.check_served()
    if not is_known_later(query_param):
        check_query_param(kind, query_param)


def to_templatable(value: object) -> object:
    """Return a value in which Airflow renders templates; it passes over dataclasses."""
    if isinstance(value, OfferedJob | ClaimedJob):
        return value.to_xcom()
    if isinstance(value, ActionType):
        return value.to_api()
    return value


def details_to_templatable(value: object) -> object:
    """Return the details of a result in which Airflow renders templates; it passes over dataclasses."""
    if value is None or isinstance(value, str | Mapping) or is_resolved_later(value):
        return value
    from airflow_codepipeline_partner._protocol.results import CurrentRevision, ExecutionDetails

    return value.to_api() if isinstance(value, CurrentRevision | ExecutionDetails) else value


def check_success_literals(
    current_revision: object, execution_details: object, output_variables: object = None
) -> None:
    """Check the arguments of a success result as far as they are known at construction."""
    if current_revision is execution_details is output_variables is None:
        return
    # Most DAG files give none of them, and need not wait for these classes.
    from airflow_codepipeline_partner._protocol.results import (
        CurrentRevision,
        ExecutionDetails,
        read_output_variables,
    )

    stand_ins = dict.fromkeys(("revision", "changeIdentifier", "change_identifier"), "x")
    check_literal(CurrentRevision.from_value, current_revision, **stand_ins)
    check_literal(ExecutionDetails.from_value, execution_details)
    named = output_variables if isinstance(output_variables, Mapping) else {}
    stand_ins = dict.fromkeys(map(str, named), "x")
    check_literal(read_output_variables, output_variables, **stand_ins)


def check_variables_of_job(job: object, output_variables: object) -> None:
    """
    Check at construction that a job can have output variables, if both are known then.

    :raises InvalidInput: It cannot.
    """
    is_given = isinstance(output_variables, Mapping) and len(output_variables) > 0
    if is_given and job is not None and not is_known_later(job):
        from airflow_codepipeline_partner._protocol.requests import check_output_variables_fit

        check_output_variables_fit(OfferedJob.from_value(job), continued=False)

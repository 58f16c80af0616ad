# SPDX-License-Identifier: Apache-2.0
"""
The operators that report a job's result: each makes one API call and has its name.

There is one exception. If the action goes on in a next job that no task has claimed yet, that job is waited
for and claimed, and the call is made for it.

If the summary is missing, it names the DAG. If the external execution id is missing, it identifies the DAG
run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner._base_operator import check_success_literals, is_known_later
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators.put_result_base import _Failure, _OfAccount, _OfPartner, _Success


class PutThirdPartyJobSuccessResultOperator(_Success, _OfPartner):
    """
    End a partner job with success. With a continuation token, CodePipeline then makes a new job.

    The client token comes from the connection of the job's client, never from an argument. A literal would be
    in plain text in the serialized DAG.

    :param job: The job that the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: The job's id. Use it instead of ``job``. (templated)
    :param client_id: The job's client id. Use it with ``job_id``. (templated)
    :param current_revision: A :class:`~airflow_codepipeline_partner.jobs.CurrentRevision` or a mapping with
        AWS's or snake_case keys, or None. (templated)
    :param continuation_token: The token with which the action continues in a new job, 1 to 2048 characters.
        If None, the action is complete. (templated)
    :param execution_details: An :class:`~airflow_codepipeline_partner.jobs.ExecutionDetails` or a mapping
        with AWS's or snake_case keys. If the summary is missing, it names the DAG. If the external execution
        id is missing, it identifies the DAG run. ``percentComplete`` has no default. (templated)
    :param missing_outputs: What to do if this run claimed the job, the action ends, and no task before this
        one uploaded one of the output artifacts with this package: ``warn`` in the log (the default),
        ``fail`` this task before it sends anything, or ``ignore`` it.

    Source: PutThirdPartyJobSuccessResult, CodePipeline API 2015-07-09.
    """

    template_fields = (*_Success.template_fields[:3], *_OfPartner.template_fields)
    others = "PutJobSuccessResultOperator"


class PutThirdPartyJobFailureResultOperator(_Failure, _OfPartner):
    """
    End a partner job with failure.

    :param job: The job that the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: The job's id. Use it instead of ``job``. (templated)
    :param client_id: The job's client id. Use it with ``job_id``. (templated)
    :param message: The message for the customer, cut to 5000 characters. (templated)
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable. (templated)
    :param external_execution_id: The id of the work in your own system, 1 to 1500 characters. If None, the id
        identifies the DAG run. (templated)

    Source: PutThirdPartyJobFailureResult, CodePipeline API 2015-07-09.
    """

    template_fields = (*_Failure.template_fields[:3], *_OfPartner.template_fields)
    others = "PutJobFailureResultOperator"


class PutJobSuccessResultOperator(_Success, _OfAccount):
    """
    End a custom job with success. With a continuation token, CodePipeline then makes a new job.

    :param job: The job that the sensor or the claim returned, or a mapping with ``job_id``. (templated)
    :param job_id: The job's id. Use it instead of ``job``. (templated)
    :param current_revision: See :class:`PutThirdPartyJobSuccessResultOperator`. (templated)
    :param continuation_token: See :class:`PutThirdPartyJobSuccessResultOperator`. (templated)
    :param execution_details: See :class:`PutThirdPartyJobSuccessResultOperator`. (templated)
    :param missing_outputs: See :class:`PutThirdPartyJobSuccessResultOperator`.
    :param output_variables: Values for later actions of the pipeline: a mapping of names (of ``0-9 A-Z a-z @
        _ -``) to texts, at most 122,880 bytes in all. It must hold no secrets, and excludes a continuation
        token. (templated)

    Source: PutJobSuccessResult, CodePipeline API 2015-07-09.
    """

    template_fields = ("output_variables", *_Success.template_fields[:3], *_OfAccount.template_fields)
    others = "PutThirdPartyJobSuccessResultOperator"

    def __init__(
        self, *, output_variables: Any = None, continuation_token: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(continuation_token=continuation_token, **kwargs)
        check_success_literals(None, None, output_variables)
        both = output_variables and continuation_token
        if both and not is_known_later([continuation_token]) and isinstance(output_variables, Mapping):
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id}: output_variables and continuation_token exclude each "
                "other: the action's variables are those of its last job."
            )
        self.output_variables = output_variables


class PutJobFailureResultOperator(_Failure, _OfAccount):
    """
    End a custom job with failure.

    :param job: The job that the sensor or the claim returned, or a mapping with ``job_id``. (templated)
    :param job_id: The job's id. Use it instead of ``job``. (templated)
    :param message: The message in the pipeline, cut to 5000 characters. (templated)
    :param failure_type: See :class:`PutThirdPartyJobFailureResultOperator`. (templated)
    :param external_execution_id: See :class:`PutThirdPartyJobFailureResultOperator`. (templated)

    Source: PutJobFailureResult, CodePipeline API 2015-07-09.
    """

    template_fields = (*_Failure.template_fields[:3], *_OfAccount.template_fields)
    others = "PutThirdPartyJobFailureResultOperator"

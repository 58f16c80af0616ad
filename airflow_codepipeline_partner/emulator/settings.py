# SPDX-License-Identifier: Apache-2.0
"""Settings for what AWS does not document about its job protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from airflow_codepipeline_partner.emulator.errors import ControlError

# The highest number of any setting. In seconds about three hundred years, and still exact as a float.
MAX_NUMBER = 10_000_000_000


@dataclasses.dataclass(frozen=True)
class Settings:
    """
    Choose how the emulated CodePipeline behaves where its documentation is silent.

    The defaults are the stricter reading: a worker that passes with them passes with the lenient ones.
    No number is above :data:`MAX_NUMBER`.

    :param lease_seconds: Seconds, ≥ 0, until a job that was handed out and not acknowledged is handed out
        again. 0 hands it out at every poll.
    :param nonce_on_redelivery: Whether a job that is handed out again gets a ``"new"`` nonce, which makes the
        old one invalid, or keeps the ``"same"``.
    :param details_rotate_nonce: Whether each GetThirdPartyJobDetails of a job that nobody has acknowledged
        makes a new nonce, so that the former one is invalid.
    :param continuation_delay: Seconds, ≥ 0, from a result with a continuation token to the new job. AWS
        documents 30 for Lambda actions only.
    :param job_delay: Seconds, ≥ 0, from the beginning of an action, and its event, to its first job.
    :param job_timeout: Seconds, > 0, that one job may take; AWS allows 60 to 43,200. A pipeline may set its
        own.
    :param action_timeout: Seconds, > 0, that a partner's action may take with all its jobs.
    :param custom_action_timeout: Seconds, > 0, that a custom action may take with all its jobs.
    :param job_timeout_from: Whether a job's timeout starts when the job is acknowledged
        (``"acknowledge"``) or first handed out (``"hand_out"``).
    :param job_timeout_effect: Whether a job that timed out fails its action (``"fail_action"``), or is
        queued again under its id (``"requeue"``).
    :param retention: Seconds, > 0, for which a job that has ended is still known.
    :param put_before_acknowledge: Whether the result of a job that was handed out but never acknowledged is
        refused with InvalidJobStateException (``"refuse"``) or accepted (``"accept"``).
    :param acknowledge_ended_job: Whether acknowledging a job that has ended returns its status
        (``"status"``) or InvalidNonceException (``"error"``).
    :param repeated_acknowledge: Whether a second acknowledge with the winning nonce returns
        InvalidNonceException (``"invalid_nonce"``) or InProgress again (``"in_progress"``).
    :param default_batch_size: Jobs, ≥ 1, that a poll without maxBatchSize returns at most.
    :param max_batch_size: Jobs, ≥ 1, that any poll returns at most; None means no cap.
    :param check_first: Whether an unknown job is always JobNotFoundException (``"job"``), or
        InvalidClientTokenException if no customer has the token (``"token"``).
    :param require_output_artifacts: Whether a last success is refused while the object of an output
        artifact is missing.
    :param rotation_overlap: Seconds, ≥ 0, for which a customer's former token stays valid.
    :param credentials_lifetime: Seconds, > 0, for which a job's artifact credentials are valid.
    :param upload_encryption: Whether an upload that does not use the pipeline's KMS key (or ``aws:kms``
        without a key id, if the pipeline has no key) is only recorded in the ledger (``"record"``) or denied
        (``"refuse"``).
    :param region: The region of the action types; a poll that is signed for another region finds no action
        type. None means every region.
    :param connected_client_id: The customer to whom partners' actions belong in pipelines that CreatePipeline
        makes. None means the only customer there is.
    :param connect_parameter: Name of the query parameter that carries the document of a customer's Connect.
    :param connect_members: Three different names in that document: of the client id, the client token and the
        one-time id.
    :param max_requests_per_second: Calls of one operation, > 0, that are done in a second of the emulator's
        time, and in one burst (at least one); more are ThrottlingException. None means no limit.
    :param max_concurrent_executions: Executions of one pipeline, ≥ 1, that may be in progress at once; one
        more start is ConcurrentPipelineExecutionsLimitExceededException. None means no limit.

    Source: CodePipeline API 2015-07-09 and its user guide, as far as they go: they give the timeouts, and say
    that there are leases, nonces and continuations. The rest is a careful reading; that is why it can be
    set.
    """

    lease_seconds: float = 60
    nonce_on_redelivery: Literal["new", "same"] = "new"
    details_rotate_nonce: bool = False
    continuation_delay: float = 30
    job_delay: float = 0
    job_timeout: float = 3600
    action_timeout: float = 3600
    custom_action_timeout: float = 24 * 3600
    job_timeout_from: Literal["acknowledge", "hand_out"] = "acknowledge"
    job_timeout_effect: Literal["fail_action", "requeue"] = "fail_action"
    retention: float = 300
    put_before_acknowledge: Literal["refuse", "accept"] = "refuse"
    acknowledge_ended_job: Literal["status", "error"] = "status"
    repeated_acknowledge: Literal["invalid_nonce", "in_progress"] = "invalid_nonce"
    default_batch_size: int = 1
    max_batch_size: int | None = None
    check_first: Literal["job", "token"] = "job"
    require_output_artifacts: bool = False
    rotation_overlap: float = 0
    credentials_lifetime: float = 15 * 60
    upload_encryption: Literal["record", "refuse"] = "record"
    region: str | None = None
    connected_client_id: str | None = None
    connect_parameter: str = "request"
    connect_members: tuple[str, str, str] = ("clientId", "clientToken", "correlationId")
    max_requests_per_second: float | None = None
    max_concurrent_executions: int | None = None

    def __post_init__(self) -> None:
        for field, hint in get_type_hints(type(self)).items():
            _check(field, hint, getattr(self, field))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Settings | None = None) -> Settings:
        """
        Read settings from JSON values or from the text of a command line.

        :param values: Settings by name; text is converted to the setting's type, ``none`` and ``null`` to
            None.
        :param base: The values of settings that are not named. Defaults to the defaults.
        :raises ControlError: A name is no setting, or its value is out of range.
        """
        hints = get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ControlError(f"no such setting: {', '.join(unknown)}; there are {', '.join(hints)}")
        read = {name: _read(name, hints[name], value) for name, value in values.items()}
        return dataclasses.replace(base or cls(), **read)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}


# These may be 0; all other numbers must be above 0.
_MAY_BE_ZERO = frozenset({"lease_seconds", "continuation_delay", "job_delay", "rotation_overlap"})


def _read(name: str, hint: Any, value: Any) -> Any:
    if get_origin(hint) is tuple:
        value = value.split(",") if isinstance(value, str) else value
        return tuple(value) if isinstance(value, list) else value
    if not isinstance(value, str) or get_origin(hint) is Literal or hint is str:
        return value
    if value.lower() in ("none", "null"):
        return None
    if hint is bool:
        if value.lower() not in ("true", "false"):
            raise ControlError(f"setting {name} is true or false, not {value!r}")
        return value.lower() == "true"
    kinds = get_args(hint) or (hint,)
    if str in kinds:
        return value
    try:
        return int(value) if int in kinds else float(value)
    except ValueError:
        raise ControlError(f"setting {name} is a number, not {value!r}") from None


def _check(name: str, hint: Any, value: Any) -> None:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ControlError(f"setting {name} is one of {', '.join(get_args(hint))}, not {value!r}")
    elif get_origin(hint) is tuple:
        names = value if isinstance(value, tuple) else ()
        named = {each for each in names if isinstance(each, str) and each}
        if not len(names) == len(named) == len(get_args(hint)):
            raise ControlError(f"setting {name} is {len(get_args(hint))} different names, not {value!r}")
    elif value is None:
        if type(None) not in get_args(hint):
            raise ControlError(f"setting {name} cannot be None")
    elif hint is bool:
        if not isinstance(value, bool):
            raise ControlError(f"setting {name} is true or false, not {value!r}")
    elif hint is str or str in get_args(hint):
        if not isinstance(value, str) or not value:
            raise ControlError(f"setting {name} is a text, not {value!r}")
    else:
        whole = hint is int or int in get_args(hint)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ControlError(f"setting {name} is a {'whole ' if whole else ''}number, not {value!r}")
        if not 0 <= value <= MAX_NUMBER or (value == 0 and name not in _MAY_BE_ZERO):
            least = "0 or more" if name in _MAY_BE_ZERO else "above 0"
            raise ControlError(f"setting {name} is {least} and at most {MAX_NUMBER}")

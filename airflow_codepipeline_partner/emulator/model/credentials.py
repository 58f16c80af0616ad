# SPDX-License-Identifier: Apache-2.0
"""The credentials for one job's artifacts."""

from __future__ import annotations

import dataclasses
import secrets
import string

from airflow_codepipeline_partner.emulator.model.jobs import Job

# All keys of jobs begin so: a key that is no longer known is never mistaken for another client's.
ACCESS_KEY_PREFIX = "ASIAEMU"
_ACCESS_KEY_CHARS = 20


@dataclasses.dataclass(frozen=True)
class SessionCredentials:
    """
    Session credentials of one job.

    :param reads: Bucket and key of each object that they can read.
    :param writes: Bucket and key of each object that they can write.
    :param encryption_key: The KMS key id that an upload should use; None means AWS's managed key.
    :param expires_at: In seconds since the epoch, by the emulator's clock.
    """

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(repr=False)
    job: Job = dataclasses.field(repr=False)
    reads: frozenset[tuple[str, str]]
    writes: frozenset[tuple[str, str]]
    encryption_key: str | None
    expires_at: float


class CredentialStore:
    """Keep all issued credentials, including expired ones."""

    def __init__(self) -> None:
        self._by_key: dict[str, SessionCredentials] = {}

    def issue(self, job: Job, expires_at: float) -> SessionCredentials:
        """Make credentials for a job's artifacts."""
        action = job.action
        alphabet = string.ascii_uppercase + "234567"
        tail = _ACCESS_KEY_CHARS - len(ACCESS_KEY_PREFIX)
        credentials = SessionCredentials(
            access_key_id=ACCESS_KEY_PREFIX + "".join(secrets.choice(alphabet) for _ in range(tail)),
            secret_access_key=secrets.token_urlsafe(30),
            session_token=secrets.token_urlsafe(120),
            job=job,
            reads=frozenset((artifact.bucket, artifact.key) for artifact in action.inputs),
            writes=frozenset((artifact.bucket, artifact.key) for artifact in action.outputs),
            encryption_key=action.pipeline.encryption_key,
            expires_at=expires_at,
        )
        self._by_key[credentials.access_key_id] = credentials
        return credentials

    def find(self, access_key_id: str) -> SessionCredentials | None:
        """Return the credentials with this key, or None."""
        return self._by_key.get(access_key_id)

# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL and Redis on their standard local ports, and a part of each that is ours alone for one run."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any

HOST = "127.0.0.1"
POSTGRESQL_PORT = 5432
REDIS_PORT = 6379
POSTGRESQL_USER = "postgres"
_CONNECT_SECONDS = 5


class ServicesMissing(Exception):
    """A service is not there, or does not let us in."""


class Services:
    """
    A database of PostgreSQL, a user and a key prefix of Redis; all are gone when the context ends.

    :ivar name: Of the database and of Redis's user; Redis's keys begin with it.
    """

    def __init__(self) -> None:
        self.name = f"codepipeline_chaos_{secrets.token_hex(6)}"
        self._connection: Any = None

    @property
    def database_url(self) -> str:
        """The database, as SQLAlchemy names it."""
        return f"postgresql+psycopg2://{POSTGRESQL_USER}@{HOST}:{POSTGRESQL_PORT}/{self.name}"

    @property
    def result_backend(self) -> str:
        """The database, as Celery names it."""
        return f"db+{self.database_url}"

    @property
    def broker_url(self) -> str:
        """Redis, as Celery names it."""
        # The user name marks our connections. It needs no password, and Celery wants one.
        return f"redis://{self.name}:any@{HOST}:{REDIS_PORT}/0"

    @property
    def key_prefix(self) -> str:
        """What all our keys in Redis begin with."""
        return f"{self.name}:"

    def query(self, sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the database."""
        if self._connection is None:
            self._connection = _connect(self.name)
        with self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters))
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def cut_database(self) -> int:
        """Cut all connections to the database except our own, and return how many there were."""
        cut = self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(cut)

    def cut_queue(self) -> int:
        """Cut all connections of our user to Redis, and return how many there were."""
        with contextlib.closing(_redis()) as redis:
            return int(redis.client_kill_filter(user=self.name))

    def __enter__(self) -> Services:
        missing = missing_services()
        if missing:
            raise ServicesMissing("\n".join(missing))
        with contextlib.closing(_connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.name}")
        with contextlib.closing(_redis()) as redis:
            redis.acl_setuser(
                self.name, enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"]
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        with contextlib.ExitStack() as both:
            # Each is cleaned up even where the other is gone.
            both.callback(self._delete_keys_and_user)
            both.callback(self._drop_database)

    def _drop_database(self) -> None:
        with contextlib.closing(_connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def _delete_keys_and_user(self) -> None:
        with contextlib.closing(_redis()) as redis:
            # This cuts its connections too.
            redis.acl_deluser(self.name)
            for key in redis.scan_iter(match=f"{self.key_prefix}*", count=1000):
                redis.delete(key)


def missing_services() -> list[str]:
    """Return what is missing, in sentences; nothing if both services can be used."""
    missing = []
    for name, port in (("PostgreSQL", POSTGRESQL_PORT), ("Redis", REDIS_PORT)):
        try:
            socket.create_connection((HOST, port), _CONNECT_SECONDS).close()
        except OSError as error:
            missing.append(f"{name} is missing: nothing answers on {HOST}:{port} ({error}).")
    if missing:
        return missing
    try:
        _connect("postgres").close()
    except Exception as error:
        missing.append(
            f"PostgreSQL on port {POSTGRESQL_PORT} does not let in {POSTGRESQL_USER} without a password: "
            f"{str(error).strip()}"
        )
    try:
        with contextlib.closing(_redis()) as redis:
            # Redis has users from version 6 on.
            redis.acl_whoami()
    except Exception as error:
        missing.append(f"What answers on port {REDIS_PORT} is no Redis that can be used: {error}")
    return missing


def _connect(database: str) -> Any:
    import psycopg2

    connection = psycopg2.connect(
        host=HOST,
        port=POSTGRESQL_PORT,
        user=POSTGRESQL_USER,
        dbname=database,
        connect_timeout=_CONNECT_SECONDS,
    )
    connection.autocommit = True
    return connection


def _redis() -> Any:
    import redis

    return redis.Redis(HOST, REDIS_PORT, socket_timeout=_CONNECT_SECONDS)

# SPDX-License-Identifier: Apache-2.0
"""The emulator as a server in a thread of this process."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
from types import TracebackType
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from waitress import wasyncore
from waitress.server import create_server

from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.engine.moto_store import MotoStore
from airflow_codepipeline_partner.emulator.engine.state import State, TimeSource
from airflow_codepipeline_partner.emulator.faults import MAX_SLOW_CALLS
from airflow_codepipeline_partner.emulator.http.app import EmulatorApp
from airflow_codepipeline_partner.emulator.http.channel import Channel
from airflow_codepipeline_partner.emulator.settings import Settings

HOST = "127.0.0.1"
MAX_BODY_BYTES = 5 * 1024**3  # the largest object that S3 takes in one piece
# Slow calls leave threads for other calls, and for the controls.
_THREADS = MAX_SLOW_CALLS + 16
_MAX_CONNECTIONS = 10_000
_STOP_SECONDS = 10
# That a call waits for a thread for a moment is no fault; waitress would say so on stderr.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


class Emulator(Controls):
    """
    An emulated CodePipeline with moto behind it, on 127.0.0.1.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    :param port: Port to listen on. Defaults to 0, any that is free.
    :param settings: How to behave if AWS documents nothing.
    :param clock: The time. Defaults to the machine's, which :meth:`advance` moves.
    """

    def __init__(
        self, port: int = 0, settings: Settings | None = None, clock: TimeSource | None = None
    ) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        super().__init__(State(settings, clock), MotoStore(self._moto))
        self._port = port
        self._stopping = threading.Event()
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The endpoint URL for every AWS client."""
        if self._server is None:
            raise RuntimeError("the emulator is not started")
        return f"http://{HOST}:{self._server.effective_port}"

    def start(self) -> Emulator:
        """
        Listen, and return at once.

        :raises OSError: The port is taken.
        """
        if self._server is not None:
            raise RuntimeError("the emulator is already started")
        listener = _listen(self._port)
        self._stopping.clear()
        self._server = create_server(
            EmulatorApp(self, self._moto, self._stopping),
            map={},
            sockets=[listener],
            threads=_THREADS,
            # With waitress's default, a hundred idle connections would keep out all others.
            connection_limit=_MAX_CONNECTIONS,
            max_request_body_size=MAX_BODY_BYTES,
            # waitress leaves the temporary files of larger buffers to the garbage collector.
            inbuf_overflow=MAX_BODY_BYTES,
            outbuf_overflow=MAX_BODY_BYTES,
            clear_untrusted_proxy_headers=True,
            ident=None,
            # select() fails with file descriptors from 1024 on, which a process with many open files reaches.
            asyncore_use_poll=hasattr(select, "poll"),
        )
        self._server.channel_class = Channel
        self._thread = threading.Thread(target=self._server.run, name="codepipeline-emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Finish the open requests, and close every connection. The state can still be read."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._stopping.set()
        with self.state.lock:
            self.state.faults.wake()
        server.task_dispatcher.shutdown(timeout=_STOP_SECONDS)
        # The thread that waits for the sockets closes them; its loop ends when none is left.
        with contextlib.suppress(OSError):
            # If the loop is already awake, it may run this and close the pipe that would wake it.
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(_STOP_SECONDS)
        self._server = self._thread = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _listen(port: int) -> socket.socket:
    # waitress would leave its threads behind if the port is taken.
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener

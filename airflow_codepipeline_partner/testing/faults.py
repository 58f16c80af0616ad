# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a worker and CodePipeline, by its name."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner.emulator import Customer, Emulator

__all__: list[str] = []


class Faults:
    """
    Make calls go wrong, to see what a DAG makes of it.

    All operations are AWS's, such as ``PutJobSuccessResult`` or ``GetThirdPartyJobDetails``.
    :meth:`~airflow_codepipeline_partner.emulator.Emulator.inject` can do more.

    :param emulator: The emulator.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def lose_answer(self, operation: str, times: int = 1) -> None:
        """
        Let calls be carried out, and their answers be lost.

        :param operation: The operation.
        :param times: How many calls, at least 1. Defaults to 1.
        """
        self._emulator.inject("drop_response", operation, times=times)

    def lose_call(self, operation: str, times: int = 1) -> None:
        """
        Let calls be lost before they are carried out.

        :param operation: The operation.
        :param times: How many calls, at least 1. Defaults to 1.
        """
        self._emulator.inject("drop_request", operation, times=times)

    def throttle(self, operation: str | None = None, times: int = 1) -> None:
        """
        Refuse calls with ThrottlingException. A worker waits before each retry, by the machine's clock.

        :param operation: The operation. Defaults to any job call.
        :param times: How many calls, at least 1. Defaults to 1.
        """
        self._emulator.inject("throttle", operation, times=times)

    def refuse(self, operation: str, code: str, message: str = "Refused by a test.", times: int = 1) -> None:
        """
        Refuse calls with an error of AWS's.

        :param operation: The operation.
        :param code: The error's code, such as ``AccessDeniedException``.
        :param message: The error's message.
        :param times: How many calls, at least 1. Defaults to 1.
        """
        params: dict[str, Any] = {"code": code, "message": message}
        self._emulator.inject("error", operation, times=times, **params)

    def outdate_token(self, customer: Customer) -> None:
        """
        Give a customer a new client token. Airflow's connection still has the former one.

        :param customer: The customer.
        """
        self._emulator.rotate_token(customer.client_id)

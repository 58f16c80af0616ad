# SPDX-License-Identifier: Apache-2.0
"""Errors that travel to the caller."""

from __future__ import annotations


class ApiError(Exception):
    """
    Say no to an API call, in AWS's terms.

    :param code: AWS's name of the error, for instance ``JobNotFoundException``.
    :param message: The message for the caller.
    :param status: HTTP status. Every error of the job calls is a 400.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ControlError(ValueError):
    """
    Say no to a call of the control interface.

    :param message: What was wrong, and what would be right.
    :param status: HTTP status, 4xx.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ActionFailed(Exception):
    """
    Let an action fail without a worker.

    :param code: What GetPipelineState shows as the error's code.
    :param message: What it shows as the message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

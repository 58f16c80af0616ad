# SPDX-License-Identifier: Apache-2.0
"""Errors that the caller receives."""

from __future__ import annotations


class ApiError(Exception):
    """
    Refuse an API call, in AWS's terms.

    :param code: AWS's name of the error, for instance ``JobNotFoundException``.
    :param message: The message for the caller.
    :param status: HTTP status. All errors of the job calls are 400.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ControlError(ValueError):
    """
    Refuse what a test wants to do.

    :param message: What is wrong, and what would be right.
    :param status: HTTP status, 4xx.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ActionFailed(Exception):
    """
    Fail an action without a worker.

    :param code: What GetPipelineState shows as the error's code.
    :param message: What it shows as the message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

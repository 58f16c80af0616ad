# SPDX-License-Identifier: Apache-2.0
"""Keep secrets out of logs."""

from __future__ import annotations

import json


def mask_secret(secret: str | None) -> None:
    """Keep a secret out of the logs of this process and of its supervisor, if it has one."""
    from airflow.sdk.log import mask_secret as mask

    if secret:
        mask(secret)
        # A service may quote it as JSON.
        mask(json.dumps(secret)[1:-1])


def masked(text: str) -> str:
    """Return a text as the logs of this process would show it."""
    from airflow.sdk import log

    return str(vars(log)["redact"](text))

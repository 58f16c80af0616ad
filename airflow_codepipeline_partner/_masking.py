# SPDX-License-Identifier: Apache-2.0
"""Keeps secrets out of logs and of texts of other systems."""

from __future__ import annotations

import json
from collections.abc import Mapping


def mask_secret(secret: str | None) -> None:
    """Keep a secret out of this process's logs, and of the supervisor's where there is one."""
    from airflow.sdk.log import mask_secret as mask

    if secret:
        mask(secret)
        # As a service may quote it.
        mask(json.dumps(secret)[1:-1])


#: What is shorter is left alone in messages, as by Airflow's masker.
MIN_SECRET_CHARS = 5


def without_secrets(secrets: Mapping[str, str], text: str) -> str:
    """Return a text of somebody else's without our secrets, which AWS may quote in a refusal."""
    for secret in secrets.values():
        # A nonce may be as short as "3", which is in every message.
        if len(secret) >= MIN_SECRET_CHARS:
            for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                text = text.replace(written, "***")
    return text

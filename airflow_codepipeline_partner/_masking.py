# SPDX-License-Identifier: Apache-2.0
"""Keep secrets out of logs and out of other systems' texts."""

from __future__ import annotations

import json
from collections.abc import Mapping


def mask_secret(secret: str | None) -> None:
    """Keep a secret out of the logs of this process and of its supervisor, if it has one."""
    from airflow.sdk.log import mask_secret as mask

    if secret:
        mask(secret)
        # A service may quote it as JSON.
        mask(json.dumps(secret)[1:-1])


#: Shorter secrets are not removed from messages, as in Airflow's masker.
MIN_SECRET_CHARS = 5


def without_secrets(secrets: Mapping[str, str], text: str) -> str:
    """Return another system's text without our secrets, which AWS may quote in an error."""
    for secret in secrets.values():
        # A nonce may be as short as "3", which occurs in every message.
        if len(secret) >= MIN_SECRET_CHARS:
            for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                text = text.replace(written, "***")
    return text

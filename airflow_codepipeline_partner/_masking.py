# SPDX-License-Identifier: Apache-2.0
"""Keep secrets out of logs, and out of texts that other systems wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping


def mask_secret(secret: str | None) -> None:
    """Keep a secret out of the logs of this process, and of its supervisor if it has one."""
    from airflow.sdk.log import mask_secret as mask

    if secret:
        mask(secret)
        # A service may quote it like this.
        mask(json.dumps(secret)[1:-1])


#: Shorter secrets are left alone in messages, as Airflow's masker does.
MIN_SECRET_CHARS = 5


def without_secrets(secrets: Mapping[str, str], text: str) -> str:
    """Return a text without secrets: AWS may quote them in a refusal."""
    for secret in secrets.values():
        # A nonce may be as short as "3", which is part of many messages.
        if len(secret) >= MIN_SECRET_CHARS:
            for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                text = text.replace(written, "***")
    return text

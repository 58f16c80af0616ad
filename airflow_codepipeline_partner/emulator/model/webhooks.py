# SPDX-License-Identifier: Apache-2.0
"""A webhook."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Webhook:
    """
    A webhook, as PutWebhook defined it.

    :param definition: In AWS's shape, with its secret.
    :param url: Where its payloads would go.
    :param tags: Its tags.
    """

    definition: Mapping[str, Any] = dataclasses.field(repr=False)
    url: str
    tags: Mapping[str, str]

# SPDX-License-Identifier: Apache-2.0
"""The command ``doctor``: it checks what a worker needs, changes nothing, and says what to do."""

from __future__ import annotations

__all__: list[str] = []

# SPDX-License-Identifier: Apache-2.0
"""The call about the types of rules; the emulator runs no rules."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner.emulator.model.rule_types import rule_types
from airflow_codepipeline_partner.emulator.service_model import validate


class RulesApi:
    """Answer ListRuleTypes: the same in each region."""

    def __contains__(self, operation: str) -> bool:
        return operation == "ListRuleTypes"

    def answer(self, operation: str, request: Any, region: str | None) -> dict[str, Any]:
        """
        Do a call.

        :raises ApiError: The call is refused.
        """
        validate(operation, request)
        return {"ruleTypes": rule_types()}

# SPDX-License-Identifier: Apache-2.0
"""The query of a poll: only for jobs with one value in the action type's queryable property."""

from __future__ import annotations

from airflow_codepipeline_partner.exceptions import LimitExceeded
from airflow_codepipeline_partner.limits import check_text
from airflow_codepipeline_partner.reading import is_missing, quoted_name, read_mapping


def read_query_param(value: object) -> dict[str, str] | None:
    """
    Return the query that a value holds; None, and an empty mapping, are none.

    :param value: A mapping of one name, 1 to 50 characters, to one value, 1 to 50 of ``0-9 A-Z a-z _ -``.
    :raises InvalidInput: It holds something else.

    Source: PollForJobs, CodePipeline API 2015-07-09.
    """
    if is_missing(value):
        return None
    given = read_mapping(value, "query_param")
    if not given:
        return None
    if len(given) > 1:
        raise LimitExceeded(
            f"query_param has {len(given)} entries; an action type has at most one queryable property.",
            field="queryParam",
        )
    return {
        check_text("queryParam.key", name, named=f"The name {quoted_name(name)} in query_param"): check_text(
            "queryParam.value", wanted, named=f"The value of {quoted_name(name)} in query_param"
        )
        for name, wanted in given.items()
    }

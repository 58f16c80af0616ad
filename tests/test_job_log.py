# SPDX-License-Identifier: Apache-2.0
"""What log lines say of a job, in their text and as fields."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from structlog.contextvars import bound_contextvars, get_contextvars

from airflow_codepipeline_partner._job_log import (
    FIELDS,
    MAX_LABEL_CHARS,
    MAX_TEXT_CHARS,
    in_line,
    job_fields,
    label_instance,
    name_of,
    pipeline_fields,
    place_of,
    progress_text,
)
from airflow_codepipeline_partner.jobs import ActionType, ClaimedJob, ExecutionDetails, OfferedJob

CUSTOM = ActionType("Build", "Airflow", owner="Custom")
SECRETS = ("nonce-0123456789", "token-0123456789", "configured-0123456789")
OFFERED = OfferedJob("job-1", None, CUSTOM, SECRETS[0], {"Dag": SECRETS[2]}, False, SECRETS[1])
CLAIMED = ClaimedJob(
    OFFERED,
    continuation_token=SECRETS[1],
    pipeline_name="shop",
    stage_name="Deploy",
    action_name="Airflow",
    account_id="111111111111",
    pipeline_execution_id="7ce2abcd-1111-2222-3333-444444444444",
)
PARTNERS = ClaimedJob(
    OfferedJob("job-2", "acme"), pipeline_name="shop", stage_name="Deploy", action_name="Go"
)
ALL = {
    "job_id": "job-1",
    "pipeline": "shop",
    "stage": "Deploy",
    "action": "Airflow",
    "execution": "7ce2abcd-1111-2222-3333-444444444444",
}


def test_a_job_is_named_by_its_action_first():
    assert name_of(CLAIMED) == "shop / Deploy / Airflow, execution 7ce2abcd, job job-1"
    assert name_of(PARTNERS) == "shop / Deploy / Go, customer acme, job job-2"
    assert name_of(PARTNERS.job) == "job job-2, customer acme"
    assert place_of(CLAIMED) == "shop / Deploy / Airflow"
    assert place_of(OFFERED) == "job job-1"


def test_inside_the_fields_are_the_jobs_and_then_gone():
    with job_fields(CLAIMED):
        assert get_contextvars() == ALL
    assert not set(get_contextvars()) & set(FIELDS)


def test_an_offer_keeps_the_names_that_its_claim_has():
    with job_fields(CLAIMED), job_fields(OFFERED):
        assert get_contextvars() == ALL
        assert place_of(OFFERED) == "shop / Deploy / Airflow"


def test_another_job_has_no_names_of_the_one_around_it():
    with job_fields(CLAIMED):
        with job_fields(OfferedJob("job-3", "acme")):
            assert get_contextvars() == {"job_id": "job-3", "client_id": "acme"}
        with pipeline_fields("other", "e-1"):
            assert get_contextvars() == {"pipeline": "other", "execution": "e-1"}
        assert get_contextvars() == ALL


def test_without_a_job_the_fields_stay():
    with job_fields(CLAIMED), job_fields(None):
        assert get_contextvars() == ALL


def test_what_the_author_has_bound_comes_back():
    with bound_contextvars(stage="theirs", color="red"):
        with job_fields(CLAIMED):
            assert get_contextvars() == {**ALL, "color": "red"}
        with pytest.raises(ZeroDivisionError), job_fields(CLAIMED):
            1 / 0  # noqa: B018 - it raises
        assert get_contextvars() == {"stage": "theirs", "color": "red"}


def test_no_field_and_no_name_holds_a_secret():
    with job_fields(CLAIMED), job_fields(OFFERED):
        shown = f"{get_contextvars()} {name_of(CLAIMED)} {name_of(OFFERED)} {place_of(OFFERED)}"
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize(
    ("details", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"percentComplete": 0}, "0 %"),
        (ExecutionDetails("120 of 300 files", None, 40), "40 %, 120 of 300 files"),
        ({"summary": "two\n  lines"}, "two lines"),
    ],
)
def test_progress_is_one_line(details, text):
    assert progress_text(details) == text


def test_a_long_text_is_cut():
    assert len(in_line("x" * 5000)) == MAX_TEXT_CHARS
    assert in_line("x" * MAX_TEXT_CHARS) == "x" * MAX_TEXT_CHARS


class _Ti:
    def __init__(self, map_index):
        self.map_index = map_index


@pytest.mark.parametrize(
    ("map_index", "job", "given", "template"),
    [
        (0, CLAIMED, None, "{{ codepipeline_job }}"),
        (0, CLAIMED, "{{ mine }}", "{{ mine }}"),
        (-1, CLAIMED, None, None),
        (None, CLAIMED, None, None),
        (0, ClaimedJob(OFFERED), None, None),
    ],
)
def test_an_instance_is_named_unless_the_author_has(map_index, job, given, template):
    context = {"ti": _Ti(map_index), "map_index_template": given}
    label_instance(context, job)
    assert context["map_index_template"] == template
    assert ("codepipeline_job" in context) is (template == "{{ codepipeline_job }}")


def test_a_label_fits_in_airflows_database():
    names = {"pipeline_name": "p" * 100, "stage_name": "{{ s }}" * 14, "action_name": "a" * 100}
    context = {"ti": _Ti(3)}
    label_instance(context, ClaimedJob(OFFERED, **names))
    assert len(context["codepipeline_job"]) == MAX_LABEL_CHARS
    assert context["map_index_template"] == "{{ codepipeline_job }}"


def airflows_chain():
    """Airflow's own processors for a log in JSON, as a task's process has them."""
    from airflow.sdk._shared.logging.structlog import structlog_processors

    return structlog_processors(json_output=True)


def test_airflow_puts_the_fields_of_stdlib_lines_in_its_json():
    chain, for_stdlib, _ = airflows_chain()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            use_get_message=False,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, for_stdlib],
            foreign_pre_chain=chain,
            pass_foreign_args=True,
        )
    )
    log = logging.getLogger("airflow_codepipeline_partner.of_this_test")
    log.addHandler(handler)
    try:
        with job_fields(CLAIMED):
            log.warning("Claimed %s.", name_of(CLAIMED))
    finally:
        log.removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert {name: line[name] for name in ALL} == ALL
    assert line["event"] == "Claimed shop / Deploy / Airflow, execution 7ce2abcd, job job-1."


def test_airflow_puts_the_fields_of_its_own_lines_in_its_json():
    chain, _, for_structlog = airflows_chain()
    log = structlog.wrap_logger(structlog.ReturnLogger(), processors=[*chain, for_structlog])
    with job_fields(CLAIMED):
        line = json.loads(log.info("Claimed."))
    assert {name: line[name] for name in ALL} == ALL

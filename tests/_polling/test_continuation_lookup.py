# SPDX-License-Identifier: Apache-2.0
"""Which of the offered jobs continue what: asked once, in a thread, and without a secret."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from types import SimpleNamespace

import pytest
from airflow.sdk._shared.secrets_masker import SecretsMasker
from support import ACTION_TYPE

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import continuation_lookup, shared_hooks
from airflow_codepipeline_partner._polling.continuation_lookup import ContinuationLookup
from airflow_codepipeline_partner._polling.shared_hooks import LookupHooks
from airflow_codepipeline_partner._polling.young_turns import YoungTurns
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.jobs import OfferedJob


@pytest.fixture
def aws():
    return AwsParameters()


@pytest.fixture
def continued(emulator, customer, make_hook, offer):
    """A job that carries the continuation token ``step-2``, as it is offered."""
    emulator.configure(continuation_delay=0)
    hook, job = make_hook(), offer()
    hook.claim(job)
    hook.succeed(job, continuation_token="step-2")
    [offered] = hook.poll(ACTION_TYPE)
    return offered


def a_lookup(clock=time.monotonic):
    return ContinuationLookup(LookupHooks(clock), clock)


def details_of(emulator):
    return [entry.job_id for entry in emulator.ledger if entry.operation == "GetThirdPartyJobDetails"]


def test_the_token_of_each_job_is_asked_for_once(emulator, continued, offer, aws):
    fresh = OfferedJob.from_value(offer())
    before = len(details_of(emulator))
    lookup = a_lookup()
    for _ in range(2):
        tokens = asyncio.run(lookup.tokens_of([continued, fresh], [aws]))
        assert tokens == {continued.job_id: "step-2", fresh.job_id: None}
    assert details_of(emulator)[before:] == [continued.job_id, fresh.job_id]


def test_airflows_masker_learns_no_token(continued, customer, aws, monkeypatch):
    """It slows with each secret, and a triggerer looks up those of all clients."""
    learned = []
    monkeypatch.setattr(SecretsMasker, "add_mask", lambda masker, secret, name=None: learned.append(secret))
    assert asyncio.run(a_lookup().tokens_of([continued], [aws])) == {continued.job_id: "step-2"}
    # Airflow itself masks what it finds in the aws connection.
    assert customer.client_token not in str(learned)


def test_it_is_asked_off_the_loop_with_little_patience(continued, monkeypatch):
    asked = []

    def make_hook(parameters, **more):
        asked.append((threading.current_thread().name, parameters.botocore_config, more))
        return CodePipelineHook(**more)

    monkeypatch.setattr(AwsParameters, "hook", make_hook)
    asyncio.run(a_lookup().tokens_of([continued], [AwsParameters(botocore_config={"read_timeout": 3})]))
    [(thread, config, more)] = asked
    assert thread.startswith("codepipeline-details")
    assert config == {"connect_timeout": 5, "read_timeout": 3}
    assert more == {"retry_deadline": 5}


def test_one_jobs_trouble_is_not_anothers(continued, aws, caplog):
    nobodys = OfferedJob("5f1d2b8c-0000-4000-8000-000000000000", "6f0d6e0c-2f3b-4c55-9d5e-0d3a1b2c3d4e")
    lookup = a_lookup()
    tokens = asyncio.run(lookup.tokens_of([nobodys, continued], [aws]))
    assert tokens == {nobodys.job_id: None, continued.job_id: "step-2"}
    assert "There is no Airflow connection" in caplog.text


def test_the_first_connection_that_gives_an_answer_is_enough(emulator, continued, aws, caplog):
    gone = AwsParameters(client_conn_id_template="gone_{client_id}")
    before = len(details_of(emulator))
    for ways in ([gone, aws], [aws, gone]):
        tokens = asyncio.run(a_lookup().tokens_of([continued], ways))
        assert tokens == {continued.job_id: "step-2"}
    assert len(details_of(emulator)) == before + 2
    assert caplog.text.count("There is no Airflow connection") == 1


def test_a_look_up_that_is_throttled_once_is_made_again_at_once(emulator, continued, aws):
    emulator.inject("throttle", operation="GetThirdPartyJobDetails")
    # Otherwise the task that waits for the job waits until it is offered again.
    assert asyncio.run(a_lookup().tokens_of([continued], [aws])) == {continued.job_id: "step-2"}
    assert [entry.faults for entry in emulator.ledger if entry.faults] == [("throttle",)]


def test_after_trouble_the_connection_is_looked_up_again(emulator, continued, aws, monkeypatch):
    made = []

    def make_hook(parameters, **more):
        made.append(parameters)
        return CodePipelineHook(**more)

    monkeypatch.setattr(AwsParameters, "hook", make_hook)
    monkeypatch.setattr(shared_hooks, "LOOKUP_RETRY_DEADLINE", 0)
    now = [100.0]
    lookup = a_lookup(lambda: now[0])
    emulator.inject("throttle", operation="GetThirdPartyJobDetails")
    asked = len(details_of(emulator))
    for _ in range(3):
        # Not at each poll: a slow client would be asked all the time.
        assert asyncio.run(lookup.tokens_of([continued], [aws])) == {continued.job_id: None}
    assert len(details_of(emulator)) == asked + 1
    now[0] += 31
    assert asyncio.run(lookup.tokens_of([continued], [aws])) == {continued.job_id: "step-2"}
    assert len(made) == 2


def test_who_gave_no_answer_is_asked_in_other_threads(continued, aws, monkeypatch):
    """Those of the others stay free."""
    now, threads, answers = [100.0], [], [RuntimeError(), "step-2", "step-2"]

    class Hook:
        _tokens = SimpleNamespace()

        def continuation_token(self, job):
            threads.append(threading.current_thread().name.rpartition("_")[0])
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(AwsParameters, "hook", lambda parameters, **more: Hook())
    lookup = a_lookup(lambda: now[0])
    for number in range(3):
        job = dataclasses.replace(continued, job_id=f"job-{number}")
        asyncio.run(lookup.tokens_of([job], [aws]))
    assert threads == ["codepipeline-details", "codepipeline-details-trouble", "codepipeline-details"]


def test_all_pollers_share_a_look_up_client_by_template(aws):
    hooks = LookupHooks(time.monotonic)
    other = AwsParameters(client_conn_id_template="other_{client_id}")
    assert hooks.get(aws) is hooks.get(AwsParameters()) is not hooks.get(other)
    assert hooks.get(aws)._tokens.unmasked


def test_no_secret_of_the_details_reaches_masker_or_log(continued, aws, monkeypatch, caplog):
    from airflow_codepipeline_partner import hooks

    masked = []
    monkeypatch.setattr(hooks, "mask_secret", masked.append)
    secrets = []
    send = CodePipelineHook._send

    def note(self, call, **more):
        answer = send(self, call, **more)
        details = answer.get("jobDetails")
        secrets.extend([details["nonce"], details["data"]["artifactCredentials"]["secretAccessKey"]])
        return answer

    monkeypatch.setattr(CodePipelineHook, "_send", note)
    with caplog.at_level("DEBUG", logger="airflow_codepipeline_partner"):
        asyncio.run(a_lookup().tokens_of([continued], [aws]))
    assert secrets
    assert not [secret for secret in secrets if secret in caplog.text]
    # Each new secret would have the masker compile all of them again, while the loop waits.
    assert masked == []


def test_it_does_not_remember_for_ever(continued, aws, monkeypatch):
    monkeypatch.setattr(continuation_lookup, "MAX_KNOWN_TOKENS", 2)
    monkeypatch.setattr(ContinuationLookup, "_ask", lambda self, jobs, aws: {job.job_id: "t" for job in jobs})
    lookup = a_lookup()
    for number in range(5):
        asyncio.run(lookup.tokens_of([OfferedJob(f"job-{number}", "c")], aws))
    assert list(lookup._known) == ["job-3", "job-4"]


def test_the_masker_learns_a_token_that_botocore_would_log(aws, monkeypatch):
    monkeypatch.setattr(logging.getLogger("botocore"), "level", logging.DEBUG)
    logging.getLogger("botocore").manager._clear_cache()
    assert not LookupHooks(time.monotonic).get(aws)._tokens.unmasked


def test_look_ups_of_many_clients_begin_a_few_at_a_time(aws, monkeypatch):
    """All threads that compute take turns with the loop."""
    lookup, lock, now, most = a_lookup(), threading.Lock(), 0, 0

    def ask(jobs, ways):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        return {job.job_id: None for job in jobs}

    monkeypatch.setattr(lookup, "_ask", ask)
    lookup._hooks.turns = YoungTurns(2, seconds=3600)
    jobs = [OfferedJob.from_value({"job_id": f"job-{n}", "client_id": f"client-{n}"}) for n in range(30)]

    async def run():
        return await asyncio.gather(*(lookup.tokens_of([job], [aws]) for job in jobs))

    assert len(asyncio.run(run())) == 30
    assert most == 2

# SPDX-License-Identifier: Apache-2.0
"""Event-driven scheduling: the watched asset, the jobs of its events, one run for each job."""

from __future__ import annotations

import re
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset
from support import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner._compat import is_paused
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._worker import job_runs
from airflow_codepipeline_partner._worker import offered_jobs as offered
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, RESULT_KEY, ClaimRecord, ResultRecord
from airflow_codepipeline_partner.assets import codepipeline_jobs, offered_jobs
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner.operators import dispatch_jobs
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

JOB = {"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}
OTHER = {**JOB, "job_id": "k"}


def test_the_asset_has_one_watcher_with_all_that_was_given():
    given = {
        "max_batch_size": 3,
        "poll_interval": 7,
        "aws_conn_id": "mine",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 5},
        "client_conn_id_template": "c_{client_id}",
    }
    asset = codepipeline_jobs("jobs", ACTION_TYPE, **given)
    assert asset.name == "jobs"
    [watcher] = asset.watchers
    assert isinstance(watcher.trigger, CodePipelineJobTrigger)
    _, kwargs = watcher.trigger.serialize()
    assert {name: kwargs[name] for name in given} == given
    assert kwargs["action_type"] == ACTION_TYPE
    # Without one it never ends.
    assert kwargs["timeout_deadline"] is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"action_type": {"category": "Deploy"}}, "needs provider"),
        ({"action_type": {**ACTION_TYPE, "owner": "AWS"}}, "owner AWS"),
        ({"max_batch_size": 0}, "maxBatchSize is 0"),
        ({"poll_interval": 0}, "poll_interval must be more than 0"),
    ],
)
def test_what_cannot_be_polled_for_is_refused_in_the_dag(wrong, named):
    with pytest.raises(InvalidInput, match=named):
        codepipeline_jobs("jobs", **{"action_type": ACTION_TYPE, **wrong})


def context(*payloads, conf=None):
    # No dict: until Airflow 3.1 an asset cannot be a key of one.
    made = [SimpleNamespace(extra=payload, timestamp=number) for number, payload in enumerate(payloads)]
    events = [(Asset("jobs"), made)] if payloads else []
    return {
        "triggering_asset_events": SimpleNamespace(items=lambda: events),
        "dag_run": SimpleNamespace(conf=conf),
    }


def said(*jobs):
    return {"from_trigger": True, "payload": {"status": "offered", "jobs": list(jobs), "error": None}}


def test_the_jobs_of_all_events_are_given_each_once():
    assert offered_jobs(context(said(JOB), said(JOB, OTHER))) == [JOB, OTHER]


@pytest.mark.parametrize("conf", [JOB, {**JOB, "more": 1}, {"jobs": [JOB]}])
def test_without_events_the_jobs_are_those_of_the_conf(conf):
    assert offered_jobs(context(conf=conf)) == [JOB]


@pytest.mark.parametrize("strange", [{"posted": "by hand"}, None, said({"no": "job"})])
def test_an_event_of_somebody_else_does_not_hold_up_the_jobs(strange):
    assert offered_jobs(context(strange, said(JOB))) == [JOB]
    assert offered_jobs(context(said(JOB), strange)) == [JOB]
    assert offered_jobs(context(strange, conf=JOB)) == [JOB]


def test_the_conf_does_not_matter_where_there_are_events():
    assert offered_jobs(context(said(JOB), conf={"jobs": [OTHER]})) == [JOB]


@pytest.mark.parametrize(
    ("known", "named"),
    [
        (context(), "has no conf"),
        (context(conf={}), "has no conf"),
        (context(conf={"no": "job"}), "needs job_id"),
        (context(conf={"jobs": "j"}), "must be a list, not a str"),
        (context(conf={"jobs": [{"job_id": "j"}]}), "needs client_id"),
        (context({"posted": "by hand"}), "'jobs' holds no jobs"),
        (context(None), "'jobs' holds no jobs"),
        (context({"payload": {"jobs": None}}), "'jobs' holds no jobs"),
        (context(said({"no": "job"})), "needs job_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_job_is_named(known, named):
    with pytest.raises(InvalidJobReference, match=named):
        offered_jobs(known)


# One run for each job.


@pytest.fixture
def dispatched(run_dag, serialized_dags):
    """Dispatch jobs, and return the ids of the runs that were started."""

    def dispatch(*jobs):
        run = run_dag("dispatcher", jobs=list(jobs))
        assert run.state == "success"
        return [made["run_id"] for made in run.xcoms["dispatch_jobs", "return_value"]]

    return dispatch


@contextmanager
def run_in_database(run_id):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        yield session, session.scalars(select(DagRun).filter_by(dag_id="claim_only", run_id=run_id)).one()


def end_run(run_id, state):
    """Have a run that nobody works on be ended."""
    with run_in_database(run_id) as (_, run):
        run.state = state


def claim_in(run_id, state, job, *, result=False):
    """Have a run have claimed its job, as its claiming task writes that down."""
    from airflow.models.xcom import XComModel

    record = ClaimRecord(ClaimState(state), ClaimedJob.from_value(job)).to_xcom()
    names = {"dag_id": "claim_only", "task_id": "claim", "run_id": run_id, "map_index": -1}
    with run_in_database(run_id) as (session, run):
        session.add(XComModel(dag_run_id=run.id, key=CLAIM_KEY, value=record, **names))
        if result:
            put = ResultRecord.of_call("done", requests.failure(OfferedJob.from_value(job), message="m"))
            session.add(XComModel(dag_run_id=run.id, key=RESULT_KEY, value=put.to_xcom(), **names))


def test_a_job_that_is_offered_twice_makes_one_run(dispatched, offer):
    job, other = offer(), offer()
    first, second = f"codepipeline__{job['job_id']}", f"codepipeline__{other['job_id']}"
    assert dispatched(job) == [first]
    assert dispatched(job, other) == [second]
    assert dispatched(job, other) == []
    with run_in_database(first) as (_, run):
        assert run.conf == {"greeting": "dispatcher", **job}


#: Texts that a job may hold, since CodePipeline's API allows any; Jinja and Python would read them.
FOREIGN = [
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{{ missing }}",
    "1.10",
    "1234e56",
    "{#",
    "a" * 490,
    "../x?y=%20",
    "ü\n",
]


@pytest.mark.parametrize("dispatcher", ["dispatcher", "native_dispatcher"])
def test_texts_of_a_job_reach_its_run_as_they_are(run_dag, serialized_dags, dispatcher):
    jobs = [
        {
            "job_id": f"{text}{dispatcher}",
            "action_type": CUSTOM_TYPE,
            "nonce": text[:50],
            "query_param": {"k": query},
        }
        for text, query in zip(FOREIGN, ["1_0", "007", "0x1f", "1e5"] * 3, strict=False)
    ]
    run = run_dag(dispatcher, jobs=jobs)
    assert run.state == "success"
    for job, made in zip(jobs, run.xcoms["dispatch_jobs", "return_value"], strict=True):
        with run_in_database(made["run_id"]) as (_, started):
            assert {**job, **started.conf} == {**started.conf, **job}


@pytest.mark.parametrize("state", ["success", "failed"])
@pytest.mark.parametrize(("claim", "result"), [("claimed", False), ("unknown", True), ("intent", True)])
def test_a_job_that_a_run_claimed_makes_no_other(dispatched, offer, state, claim, result):
    job = offer()
    [run_id] = dispatched(job)
    claim_in(run_id, claim, job, result=result)
    end_run(run_id, state)
    assert dispatched(job) == []


@pytest.mark.parametrize("claim", ["refused", "lost", "unknown", "intent", None])
def test_a_job_whose_run_ended_unclaimed_makes_another_run(dispatched, offer, claim):
    job = offer()
    [run_id] = dispatched(job)
    if claim:
        claim_in(run_id, claim, job)
    assert dispatched(job) == []
    end_run(run_id, "failed")
    assert dispatched(job) == [f"{run_id}__2"]
    end_run(f"{run_id}__2", "failed")
    assert dispatched(job) == [f"{run_id}__3"]


def test_there_is_an_end_to_the_runs_of_a_job(dispatched, offer, monkeypatch, capfd):
    monkeypatch.setattr(job_runs, "MAX_ATTEMPTS", 2)
    job = offer()
    for _ in range(2):
        [run_id] = dispatched(job)
        end_run(run_id, "failed")
    assert dispatched(job) == []


def test_an_unknown_field_of_a_job_is_not_in_its_runs_conf(run_dag, serialized_dags):
    run = run_dag("dispatcher", job_id="known-by-hand", client_id="c")
    [made] = run.xcoms["dispatch_jobs", "return_value"]
    assert made == {"run_id": "codepipeline__known-by-hand", "job_id": "known-by-hand"}
    with run_in_database(made["run_id"]) as (_, started):
        assert started.conf == {"greeting": "dispatcher", "job_id": "known-by-hand", "client_id": "c"}


def test_what_is_no_job_is_not_dispatched(run_dag, capfd):
    run = run_dag("dispatcher", jobs=[{"no": "job"}])
    assert run.state == "failed"
    assert "needs job_id" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "job_id", ["{{ dag.dag_id }}", "a/b c", "x" * 512, "ä", "../../etc", "a" * 101], ids=lambda it: it[:12]
)
def test_a_strange_job_id_is_hashed_in_the_runs_id(job_id):
    run_id = job_runs.first_run_id(job_id)
    assert re.fullmatch("codepipeline__[0-9a-f]{40}", run_id)
    assert run_id == job_runs.first_run_id(job_id)
    assert run_id != job_runs.first_run_id(job_id + "x")


def test_a_usual_job_id_is_in_the_runs_id_as_it_is():
    job_id = "1d8bb1d5-7a32-4bd7-93f2-dfc972e09741"
    assert job_runs.first_run_id(job_id) == f"codepipeline__{job_id}"


def test_a_deleted_run_does_not_keep_a_job_from_its_next_run(monkeypatch):
    runs = {"codepipeline__j__2": "failed"}

    monkeypatch.setattr(job_runs, "has_claimed", lambda *of: False)
    known = Runs(runs)
    assert job_runs.free_run_id(known, "dag", "j") == "codepipeline__j__3"
    runs["codepipeline__j__3"] = "running"
    assert job_runs.free_run_id(known, "dag", "j") is None


def test_a_job_has_no_two_runs_at_once(monkeypatch):
    """A user has cleared its first run while the second had ended."""
    monkeypatch.setattr(job_runs, "has_claimed", lambda *of: False)
    runs = {"codepipeline__j": "running", "codepipeline__j__2": "failed"}
    assert job_runs.free_run_id(Runs(runs), "dag", "j") is None


def test_a_job_has_a_run_after_many_attempts(monkeypatch):
    monkeypatch.setattr(job_runs, "has_claimed", lambda *of: False)
    job_id = "1d8bb1d5-7a32-4bd7-93f2-dfc972e09741"
    first = job_runs.first_run_id(job_id)
    runs = {first: "failed", **{f"{first}__{number}": "failed" for number in range(2, 300)}}
    known = Runs(runs)
    assert job_runs.free_run_id(known, "dag", job_id) == f"{first}__300"
    # A longer URL may be refused.
    assert max(len("&run_ids=".join(run_ids)) for run_ids in known.asked) < 4096
    known.asked.clear()
    runs.clear()
    assert job_runs.free_run_id(known, "dag", job_id) == first
    assert len(known.asked) == 1


@pytest.mark.parametrize("count", [40, 62, 63, 124, 130, 300])
@pytest.mark.parametrize("gone", [[5], [1, 2, 30], [39, 38]], ids=str)
def test_a_gap_hides_no_run(monkeypatch, count, gone):
    """A user has deleted runs of a job that had many."""
    monkeypatch.setattr(job_runs, "has_claimed", lambda *of: False)
    ids = ["codepipeline__j", *(f"codepipeline__j__{number}" for number in range(2, count + 1))]
    runs = {run_id: "failed" for number, run_id in enumerate(ids, 1) if number not in gone or number == count}
    assert job_runs.free_run_id(Runs(runs), "dag", "j") == f"codepipeline__j__{count + 1}"
    runs[ids[-1]] = "running"
    assert job_runs.free_run_id(Runs(runs), "dag", "j") is None


class Runs:
    """The runs of a DAG, by their ids, as a task may ask for them."""

    def __init__(self, runs):
        self.runs = runs
        self.asked = []

    def get_dr_count(self, dag_id, run_ids, states=None):
        self.asked.append(run_ids)
        return len([one for one in run_ids if one in self.runs and (not states or self.runs[one] in states)])


@pytest.mark.parametrize("job_id", ["j__2", "j__2__3"])
def test_a_job_is_no_attempt_of_another(job_id):
    assert "j__2" not in job_runs.first_run_id(job_id)


def test_one_task_starts_more_runs_than_airflow_maps(dispatched, offer, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")
    jobs = [offer() for _ in range(3)]
    assert dispatched(*jobs) == [f"codepipeline__{job['job_id']}" for job in jobs]


def test_a_run_that_another_dispatcher_starts_is_not_ours(dispatched, offer, monkeypatch):
    job = offer()
    assert len(dispatched(job)) == 1
    # It looked before that run was there.
    monkeypatch.setattr(job_runs, "free_run_id", lambda *of: f"codepipeline__{job['job_id']}")
    assert dispatched(job) == []


def test_a_missing_dag_fails_the_task(run_dag, serialized_dags, offer, capfd):
    assert run_dag("own_dispatcher", jobs=[offer()], dag="missing").state == "failed"
    assert "No run now for job " in "".join(capfd.readouterr())


def test_a_task_before_it_that_has_no_jobs_starts_no_others(run_dag, serialized_dags, offer, capfd):
    assert run_dag("filtered_dispatcher", jobs=[offer()]).state == "failed"
    assert "The jobs must be a list, not a NoneType" in "".join(capfd.readouterr())


def test_without_jobs_it_takes_those_of_its_run(run_dag, serialized_dags, offer):
    job = offer()
    run = run_dag("own_dispatcher", jobs=[job])
    assert run.xcoms["dispatch_jobs", "return_value"] == [
        {"run_id": f"codepipeline__{job['job_id']}", "job_id": job["job_id"]}
    ]


def test_what_goes_wrong_for_one_job_holds_up_no_other(dispatched, offer, run_dag, monkeypatch):
    first, second = offer(), offer()
    free = job_runs.free_run_id

    def failing(ti, dag_id, job_id):
        if job_id == first["job_id"]:
            raise RuntimeError("deleted meanwhile")
        return free(ti, dag_id, job_id)

    monkeypatch.setattr(job_runs, "free_run_id", failing)
    assert dispatched(first, second) == [f"codepipeline__{second['job_id']}"]
    # The other has its run.
    assert dispatched(first, second) == []
    # If that is all, the task is tried again.
    assert run_dag("dispatcher", jobs=[first]).state == "failed"


def test_what_is_no_job_does_not_hold_up_the_others(caplog):
    good = {"job_id": "a", "client_id": "c"}
    assert [job.job_id for job in offered.readable_jobs([{"job_id": 5}, good, "junk"])] == ["a"]
    assert caplog.text.count("One of the jobs is left out") == 2
    for strange in (["junk"], None, 7):
        with pytest.raises(InvalidJobReference):
            offered.readable_jobs(strange)


def test_one_malformed_job_does_not_hold_up_the_others(caplog):
    good = {"job_id": "a", "client_id": "c"}
    known = context(said({"job_id": ""}, good, 7))
    assert [job.job_id for job in offered.JOBS.of_events(known)] == ["a"]
    assert caplog.text.count("holds something that is no job") == 2


@pytest.mark.parametrize(("paused", "runs"), [(True, 0), (False, 1)])
def test_no_run_of_a_paused_dag_is_started(dispatched, offer, monkeypatch, paused, runs):
    monkeypatch.setattr(dispatch_jobs, "is_paused", lambda ti, dag_id: paused)
    assert len(dispatched(offer())) == runs


class Ti:
    def __init__(self, **answer):
        self.answer = answer

    def get_dag(self, dag_id):
        return SimpleNamespace(**self.answer)


@pytest.mark.parametrize(
    ("ti", "paused"),
    [(Ti(is_paused=True), True), (Ti(is_paused=False), False), (Ti(), False), (object(), False)],
)
def test_a_dag_that_is_not_known_to_be_paused_is_not(ti, paused):
    assert is_paused(ti, "dag") is paused

# SPDX-License-Identifier: Apache-2.0
"""
What users do in Airflow's UI to a task that waits or works, in a real Airflow; also two triggerers.

Started once for all tests here: first all that ends by itself, then what a user does to a run that has ended.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow import __version__ as version
from support import REPO, admin_client, airflow_connections, results_of

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import COMPONENTS, LocalAirflow

SECONDS = 240
#: What is done → DAG, conf, the emulator's state of the first job when it is done, what the user does.
WAITING = ("go_on", "deferred")
WORKING = ("work", "running")
#: Before Airflow 3.3, a claim without a task before it knows nothing of its earlier tries.
REMEMBERS = tuple(map(int, version.split(".")[:2])) >= (3, 3)
CLEARS = {
    "the claim is cleared before the next job": ("goes_on", {}, WAITING, "clear"),
    "the claim is cleared during the next job": ("goes_on", {"work": 15}, WORKING, "clear"),
}
ACTIONS = {
    "nothing": ("goes_on", {}, None, None),
    "nothing else": ("goes_on", {}, None, None),
    "the waiting task is marked failed": ("goes_on", {}, WAITING, "failed"),
    "the waiting task is marked success": ("goes_on", {}, WAITING, "success"),
    **(CLEARS if REMEMBERS else {}),
    "the working task is marked failed": ("goes_on", {"work": 300}, WORKING, "failed"),
    "the working task is marked success": ("goes_on", {"work": 300}, WORKING, "success"),
    "the run is marked failed while a gate waits": ("gated", {}, ("gate", "up_for_retry"), "end"),
    "a task retries beside a failure": ("retries_beside_a_failure", {}, None, None),
    "the run is out of time": ("goes_on_out_of_time", {"work": 300}, None, None),
}
#: Long enough for a user to come to a task that waits.
CONTINUATION_DELAY = 20


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """Start all runs at once, do to them what is to be done, and return what became of each."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    for name in ("user_actions.py", "deaths.py"):
        (dags / name).write_text((REPO / "tests" / "dags" / name).read_text())
    with Emulator() as emulator:
        emulator.configure(continuation_delay=CONTINUATION_DELAY, lease_seconds=5)
        customer = emulator.add_customer()
        environment = {
            **airflow_connections(emulator, customer),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "8",
        }
        with LocalAirflow(home, dags, environment=environment, components=COMPONENTS) as airflow:
            world = SimpleNamespace(airflow=airflow, emulator=emulator, customer=customer, runs={})
            do_all(world)
            yield world


def do_all(world):
    airflow, emulator = world.airflow, world.emulator
    known = {"deaths_0_retries", *(dag_id for dag_id, *_ in ACTIONS.values())}
    airflow.wait_for(
        lambda: known <= {d["dag_id"] for d in airflow.api.call("GET", "/dags")["dags"]}, "DAGs", SECONDS
    )
    for number, (what, (dag_id, conf, _, _)) in enumerate(ACTIONS.items()):
        # A poll for another run's job would take this one's from its claim, once the lease has lapsed.
        kind = {"category": "Test", "owner": "ThirdParty", "provider": f"GoesOn{number}", "version": "1"}
        pipeline = f"{dag_id}-{number}"
        emulator.add_pipeline(pipeline, client_id=world.customer.client_id, action_type=kind)
        emulator.start_execution(pipeline)
        run = Run(world, dag_id, f"run-{number}", emulator.jobs()[-1], kind)
        run.start({"job": run.job, **conf})
        world.runs[what] = run
    for what, (_, _, at, action) in ACTIONS.items():
        if at is not None:
            task_id, state = at
            run = world.runs[what]
            airflow.wait_for(
                lambda run=run, t=task_id, s=state: run.states().get(t) == s, f"{what}: {at}", SECONDS
            )
            if action == "clear":
                run.clear(["claim"])
            elif action == "end":
                airflow.api.call("PATCH", run.path, {"state": "failed"})
            else:
                run.patch(task_id, action)
    for what, run in world.runs.items():
        airflow.wait_for(lambda run=run: run.state() in ("success", "failed"), f"the end: {what}", SECONDS)
    # A run that a user has marked as failed has that state before its finishing task has ended.
    marked = world.runs["the run is marked failed while a gate waits"]
    airflow.wait_for(lambda: marked.states()["finish_job"] in ("success", "failed"), "its result", SECONDS)
    out_of_time = world.runs["the run is out of time"]
    airflow.wait_for(lambda: len(out_of_time.action_jobs()) == 2, "the next job", SECONDS)
    out_of_time.hand_out()
    waiter = out_of_time.action_jobs()[-1]
    world.claimer = Run(world, "deaths_0_retries", "waiter", waiter, out_of_time.kind)
    world.claimer.start({"job": world.claimer.job})
    airflow.wait_for(lambda: world.claimer.state() in ("success", "failed"), "the waiter", SECONDS)
    world.before = {what: run.results() for what, run in world.runs.items()}
    for what, task_ids in (("nothing", ["work"]), ("nothing else", ["claim"])):
        world.runs[what].clear(task_ids)
    for what in ("nothing", "nothing else"):
        run = world.runs[what]
        airflow.wait_for(lambda run=run: run.state() in ("success", "failed"), f"cleared: {what}", SECONDS)


class Run:
    """A run, and the jobs of its action."""

    def __init__(self, world, dag_id, run_id, job, kind):
        self.world, self.dag_id, self.run_id, self.kind = world, dag_id, run_id, kind
        self.action_execution_id = job.action_execution_id
        self.job = {"job_id": job.job_id, "client_id": job.client_id, "action_type": kind}
        self.path = f"/dags/{dag_id}/dagRuns/{run_id}"

    def start(self, conf):
        self.hand_out()
        body = {"dag_run_id": self.run_id, "logical_date": None, "conf": conf}
        self.world.airflow.api.call("POST", f"/dags/{self.dag_id}/dagRuns", body)

    def hand_out(self):
        """Have the jobs handed out, since one is acknowledged only after that."""
        client = admin_client(self.world.emulator, "codepipeline")
        client.poll_for_third_party_jobs(actionTypeId=self.kind, maxBatchSize=100)

    def state(self):
        return self.world.airflow.api.call("GET", self.path)["state"]

    def states(self):
        found = self.world.airflow.api.call("GET", f"{self.path}/taskInstances")["task_instances"]
        return {ti["task_id"]: ti["state"] for ti in found}

    def patch(self, task_id, state):
        self.world.airflow.api.call("PATCH", f"{self.path}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, task_ids):
        body = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "task_ids": task_ids,
            "only_failed": False,
            "include_downstream": True,
            "reset_dag_runs": True,
        }
        self.world.airflow.api.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    def action_jobs(self):
        jobs = self.world.emulator.jobs()
        return [job for job in jobs if job.action_execution_id == self.action_execution_id]

    def results(self):
        return [results_of(self.world.emulator, {"job_id": job.job_id}) for job in self.action_jobs()]


@pytest.mark.parametrize(
    ("what", "results"),
    [
        ("nothing", [["continue"], ["success"]]),
        ("the waiting task is marked failed", [["continue"], ["failure"]]),
        ("the waiting task is marked success", [["continue"], ["success"]]),
        ("the working task is marked failed", [["continue"], ["failure"]]),
        ("the working task is marked success", [["continue"], ["success"]]),
    ],
)
def test_whatever_a_user_marks_the_newest_job_gets_one_result(aftermath, what, results):
    assert aftermath.before[what] == results
    finish = aftermath.runs[what].states()["finish_job"]
    if what != "nothing":
        assert finish == ("failed" if results[-1] == ["failure"] else "success")


def test_a_skip_that_nobody_in_the_dag_wanted_is_a_failure(aftermath):
    """Airflow skips the gate and the last step. The work has succeeded, and nothing has failed."""
    what = "the run is marked failed while a gate waits"
    states = aftermath.runs[what].states()
    assert (states["work"], states["gate"], states["last"]) == ("success", "skipped", "skipped")
    assert aftermath.before[what] == [["failure"]]


def test_finish_job_waits_for_a_retry_beside_a_failure(aftermath):
    what = "a task retries beside a failure"
    states = aftermath.runs[what].states()
    assert (states["deploy"], states["check"], states["last"]) == ("success", "failed", "upstream_failed")
    assert aftermath.before[what] == [["failure"]]


@pytest.mark.skipif(not REMEMBERS, reason="a claim that is cleared knows what it did since Airflow 3.3")
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_run_whose_claim_is_cleared_goes_on(aftermath, when):
    what = f"the claim is cleared {when} the next job"
    assert aftermath.before[what] == [["continue"], ["success"]]
    assert set(aftermath.runs[what].states().values()) == {"success"}


def test_the_next_job_of_a_run_out_of_time_is_ended(aftermath):
    """By the run that claims it."""
    assert aftermath.runs["the run is out of time"].state() == "failed"
    assert aftermath.before["the run is out of time"] == [["continue"], ["failure"]]
    assert aftermath.claimer.states()["claim"] == "failed"
    assert aftermath.claimer.states()["work"] == "upstream_failed"


def test_clearing_work_after_the_result_changes_nothing(aftermath):
    """For the customer; the run fails and says why."""
    run = aftermath.runs["nothing"]
    assert run.results() == aftermath.before["nothing"]
    assert run.states()["work"] == "success"
    assert run.states()["finish_job"] == "failed"
    assert run.state() == "failed"


def test_clearing_the_claim_after_the_result_does_no_work(aftermath):
    run = aftermath.runs["nothing else"]
    # What the claim recorded is cleared. So the callback tries to end the newest job, for safety.
    taken = [[each for each in of_job if not each.endswith("Exception")] for of_job in run.results()]
    assert taken == aftermath.before["nothing else"]
    states = run.states()
    assert (states["claim"], states["work"], states["finish_job"]) == ("failed", "upstream_failed", "failed")
    # A run that was cleared since its job failed must not be green.
    assert run.state() == "failed"

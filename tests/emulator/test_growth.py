# SPDX-License-Identifier: Apache-2.0
"""What a call costs does not grow with what the emulator already has, counted in steps of Python."""

from __future__ import annotations

import pytest
from declaring import ACTION_TYPE
from step_count import Steps

from airflow_codepipeline_partner.emulator import Clock, Emulator, Settings
from airflow_codepipeline_partner.emulator.api.jobs import JobsApi
from airflow_codepipeline_partner.emulator.errors import ApiError

REGION = "us-east-1"
FEW, MANY = 3, 200
#: A call may take some turns more or less, for instance when it draws a random number that is too high. What
#: grows takes at least one more step for each of MANY.
SLACK = 60


class Calls:
    """An emulator without HTTP that has many of one thing, and the calls whose steps are counted."""

    def __init__(self, many_of, number):
        settings = Settings(check_first="token", retention=1e9, lease_seconds=1e9)
        self.emu = Emulator(settings=settings, clock=Clock(lambda: 1_800_000_000.0))
        self.api = JobsApi(self.emu.state, self.emu.runner, self.emu.store)
        self.customer = self.emu.add_customer()
        self.pipelines = 0
        self.name = self.add_pipeline()
        # What is made at the first call of its kind counts for none.
        self.life()
        self.look()
        for _ in range(number):
            getattr(self, many_of)()
        self.emu.start_execution(self.name)

    def add_pipeline(self, provider="Example"):
        self.pipelines += 1
        name = f"p{self.pipelines}"
        more = {"action_type": f"Deploy/ThirdParty/{provider}/1", "input_artifacts": ()}
        self.emu.add_pipeline(name, client_id=self.customer.client_id, **more)
        return name

    def a_customer(self):
        self.emu.add_customer()

    def an_action_type(self):
        self.emu.start_execution(self.add_pipeline(f"Other{self.pipelines}"))

    def a_pipeline(self):
        self.emu.start_execution(self.add_pipeline())

    def a_queued_job(self):
        self.emu.start_execution(self.name)

    def a_job_in_progress(self):
        self.emu.start_execution(self.name)
        self.acknowledge(*self.details(self.poll()))

    def an_ended_job(self):
        self.emu.start_execution(self.name)
        self.life()

    def life(self):
        self.emu.start_execution(self.name)
        job_id, nonce = self.details(self.poll())
        self.acknowledge(job_id, nonce)
        self.put(job_id)

    def poll(self):
        [job] = self.api.answer("PollForThirdPartyJobs", {"actionTypeId": ACTION_TYPE}, REGION)["jobs"]
        return job["jobId"]

    def details(self, job_id):
        return job_id, self.ask("GetThirdPartyJobDetails", job_id)["jobDetails"]["nonce"]

    def acknowledge(self, job_id, nonce):
        assert self.ask("AcknowledgeThirdPartyJob", job_id, nonce=nonce) == {"status": "InProgress"}

    def put(self, job_id):
        self.ask("PutThirdPartyJobSuccessResult", job_id)

    def ask(self, operation, job_id, **more):
        request = {"jobId": job_id, "clientToken": self.customer.client_token, **more}
        return self.api.answer(operation, request, REGION)

    def ask_with_an_unknown_token(self):
        with pytest.raises(ApiError) as error:
            self.ask("GetThirdPartyJobDetails", "unknown", clientToken="unknown")
        assert error.value.code == "InvalidClientTokenException"

    def look(self):
        asked = {"pipelineName": self.name, "maxResults": 1}
        [found] = self.show("ListPipelineExecutions", asked)["pipelineExecutionSummaries"]
        self.show("ListActionExecutions", asked)
        execution_id = found["pipelineExecutionId"]
        self.show("GetPipelineState", {"name": self.name})
        self.show("GetPipelineExecution", {"pipelineName": self.name, "pipelineExecutionId": execution_id})

    def show(self, operation, request):
        return self.emu.executions_api.answer(operation, request, REGION)

    def steps(self):
        """Return what each call takes: its name and its steps."""
        taken = {}

        def counted(call, *arguments):
            with Steps() as steps:
                answer = call(*arguments)
            taken[call.__name__] = steps.count
            return answer

        job_id, nonce = counted(self.details, counted(self.poll))
        counted(self.acknowledge, job_id, nonce)
        counted(self.put, job_id)
        counted(self.emu.start_execution, self.name)
        counted(self.add_pipeline)
        counted(self.ask_with_an_unknown_token)
        counted(self.look)
        return taken


@pytest.mark.parametrize(
    "many_of",
    ["a_customer", "an_action_type", "a_pipeline", "a_queued_job", "a_job_in_progress", "an_ended_job"],
)
def test_no_call_grows(many_of):
    few, many = (Calls(many_of, number).steps() for number in (FEW, MANY))
    assert {name: count for name, count in many.items() if count > few[name] + SLACK} == {}

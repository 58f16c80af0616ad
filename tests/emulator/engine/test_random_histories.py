# SPDX-License-Identifier: Apache-2.0
"""Whatever people do to pipelines, and in whatever order, each execution can go on or has ended."""

from __future__ import annotations

import random

import pytest
from declaring import APPROVAL, CODE_DEPLOY, CUSTOM_TYPE, action, stage

from airflow_codepipeline_partner.emulator.api.jobs import JobsApi
from airflow_codepipeline_partner.emulator.errors import ApiError

REGION = "us-east-1"
NAMES = ("one", "two", "three")
SOURCE = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}
INVOKE = {"category": "Invoke", "owner": "AWS", "provider": "CodePipeline", "version": "1"}
DAY = 24 * 3600


class History:
    """Three pipelines drawn at random, and what happens to them."""

    def __init__(self, m, seed):
        self.m, self.emu, self.draw = m, m.w.emu, random.Random(seed)  # noqa: S311 - no secret
        self.state, self.api = self.emu.state, self.emu.executions_api
        self.jobs_api = JobsApi(self.emu.state, self.emu.runner, self.emu.store)
        for name in NAMES:
            self.create(name)

    def create(self, name):
        stages = [stage(f"S{number}", *self.actions()) for number in range(self.draw.randint(1, 3))]
        mode = self.draw.choice(["QUEUED", "SUPERSEDED", "PARALLEL"])
        source = stage("Source", action("Fetch", SOURCE, outputs=["App"]))
        self.m.create(source, *stages, name=name, executionMode=mode, pipelineType="V2")

    def actions(self):
        for number in range(self.draw.randint(1, 3)):
            kind = self.draw.choice([CUSTOM_TYPE, APPROVAL, CODE_DEPLOY, INVOKE])
            more = {"configuration": {"PipelineName": self.draw.choice(NAMES)}} if kind is INVOKE else {}
            yield action(f"A{number}", kind, runOrder=self.draw.randint(1, 2), **more)

    def call(self, api, operation, **request):
        """Do a call; a refusal is an answer too."""
        try:
            return api.answer(operation, request, REGION)
        except ApiError as error:
            return error

    def step(self):
        name = self.draw.choice(NAMES)
        steps = (self.start, self.work, self.approve, self.change_transition, self.stop, self.retry)
        rare = (self.roll_back, self.wait, self.fail, self.make_again)
        self.draw.choices((*steps, *rare), [5, 8, 8, 3, 2, 4, 2, 1, 1, 0.3])[0](name)

    def start(self, name):
        self.call(self.api, "StartPipelineExecution", name=name)

    def work(self, _):
        for job in self.call(self.jobs_api, "PollForJobs", actionTypeId=CUSTOM_TYPE)["jobs"]:
            self.call(self.jobs_api, "AcknowledgeJob", jobId=job["id"], nonce=job["nonce"])
            result = {"failureDetails": {"type": "JobFailed", "message": "m"}}
            operation, result = self.draw.choice(
                [("PutJobSuccessResult", {}), ("PutJobSuccessResult", {}), ("PutJobFailureResult", result)]
            )
            self.call(self.jobs_api, operation, jobId=job["id"], **result)

    def approve(self, _):
        known = list(self.state.approvals.values())
        waiting = [each for each in known if each.status == "InProgress"]
        if known:
            asked = self.draw.choice(waiting or known)
            self.call(
                self.api,
                "PutApprovalResult",
                pipelineName=asked.pipeline.name,
                stageName=asked.stage_name,
                actionName=asked.action.name,
                token=asked.token,
                result={"status": self.draw.choice(["Approved", "Approved", "Rejected"]), "summary": ""},
            )

    def change_transition(self, name):
        asked = {"pipelineName": name, "stageName": self.stage_of(name)}
        asked["transitionType"] = self.draw.choice(["Inbound", "Outbound"])
        if self.draw.random() < 0.4:
            self.call(self.api, "DisableStageTransition", reason="r", **asked)
        else:
            self.call(self.api, "EnableStageTransition", **asked)

    def stop(self, name):
        self.call(self.api, "StopPipelineExecution", abandon=self.draw.random() < 0.5, **self.one_of(name))

    def retry(self, name):
        asked = self.one_of(name)
        known = self.state.executions[name].get(asked["pipelineExecutionId"])
        stage_name = self.stage_of(name) if known is None else known.stage.name
        mode = self.draw.choice(["FAILED_ACTIONS", "ALL_ACTIONS"])
        self.call(self.api, "RetryStageExecution", stageName=stage_name, retryMode=mode, **asked)

    def roll_back(self, name):
        asked = {"pipelineName": name, "stageName": self.stage_of(name)}
        asked["targetPipelineExecutionId"] = self.one_of(name)["pipelineExecutionId"]
        self.call(self.api, "RollbackStage", **asked)

    def wait(self, _):
        self.emu.advance(self.draw.choice([60, DAY + 60, 8 * DAY]))

    def fail(self, name):
        self.emu.fail_action(name, "Fetch", times=self.draw.choice([0, 1, 2]))

    def make_again(self, name):
        self.m.client.delete_pipeline(name=name)
        self.create(name)

    def stage_of(self, name):
        return self.draw.choice(self.state.pipelines[name].stages).name

    def one_of(self, name):
        known = list(self.state.executions[name])[-6:] or ["00000000-0000-0000-0000-000000000000"]
        return {"pipelineName": name, "pipelineExecutionId": self.draw.choice(known)}


def assert_can_go_on_or_has_ended(state):
    for executions in state.executions.values():
        for each in executions.values():
            runs = any(run.status == "InProgress" for run in each.group)
            assert runs == (each.in_progress and not each.waiting)
            assert not each.waiting or each in state.waiting[each.pipeline.name, each.stage.name]
            # Whoever waits for it knows how it ended.
            assert each.in_progress or each.started_by is None or each.started_by.status != "InProgress"


def assert_each_is_in_its_place(state):
    for place, waiting in state.waiting.items():
        known = state.transitions.get(place)
        for each in waiting:
            assert each.waiting
            assert each.in_progress
            if known is None or known.enabled:
                assert place in state.occupants
            if each.pipeline.execution_mode == "SUPERSEDED":
                assert len(waiting) == 1
    for (name, stage_name), occupant in state.occupants.items():
        inside = [
            each
            for each in state.executions[name].values()
            if each.in_progress and not each.waiting and each.stage.name == stage_name
        ]
        assert inside == [occupant]


@pytest.mark.parametrize("seed", range(8))
def test_every_execution_can_go_on_or_has_ended(made, seed):
    history = History(made(), seed)
    for _ in range(200):
        history.step()
        assert_can_go_on_or_has_ended(history.state)
        assert_each_is_in_its_place(history.state)

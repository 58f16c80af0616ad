# SPDX-License-Identifier: Apache-2.0
"""A pipeline that answers looks from a script, for the tests of those who look at it."""

from __future__ import annotations

import asyncio
import time

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import execution_poller
from airflow_codepipeline_partner._protocol.executions import PipelineExecution
from airflow_codepipeline_partner.exceptions import PipelineNotFound


class World:
    """Answers looks from a script. Also the clock: time passes only in a pause."""

    def __init__(self, monkeypatch):
        #: Execution → its status at each look; the last one stays.
        self.statuses = {}
        #: The first page at each look, if it does not come from the statuses; the last one stays.
        self.histories = []
        #: The pages after it.
        self.older_pages = []
        self.actions = {}
        #: What goes wrong at each look, in order.
        self.troubles = []
        self.calls = []
        self.looks = []
        #: What GetPipelineExecution is refused with, and what happens in the next look.
        self.refused = self.during_a_look = None
        #: What ListActionExecutions is refused with.
        self.no_actions = None
        #: What happens in the pauses, in order.
        self.meanwhile = []
        self.now = 1000.0
        world = self

        class Hook:
            def pages_of_executions(self, pipeline_name):
                world.looks.append(world.now)
                world.calls.append("ListPipelineExecutions")
                if world.during_a_look is not None:
                    happen, world.during_a_look = world.during_a_look, None
                    world.loop.call_soon_threadsafe(happen)
                    time.sleep(0.1)
                trouble = world.troubles.pop(0) if world.troubles else None
                if trouble is not None:
                    raise trouble
                newest = world.page()
                yield newest
                for page in world.older_pages:
                    world.calls.append("ListPipelineExecutions")
                    yield page

            def get_newest_action_executions(self, pipeline_name):
                world.calls.append("ListActionExecutions")
                if world.no_actions is not None:
                    raise world.no_actions
                return world.actions

            def get_execution(self, pipeline_name, execution_id):
                world.calls.append("GetPipelineExecution")
                if world.refused is not None:
                    raise world.refused
                if execution_id != "old":
                    raise PipelineNotFound("none", code="PipelineExecutionNotFoundException")
                return PipelineExecution(pipeline_name, execution_id, "Succeeded")

        monkeypatch.setattr(AwsParameters, "hook", lambda parameters, **more: Hook())
        monkeypatch.setattr(execution_poller, "SYSTEM_CLOCK", self)

    def page(self):
        if self.histories:
            return self.histories.pop(0) if len(self.histories) > 1 else self.histories[0]
        return [self.execution(each) for each in list(self.statuses)[::-1]]

    def execution(self, execution_id):
        statuses = self.statuses[execution_id]
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return PipelineExecution("pipe", execution_id, status)

    def time(self):
        return self.now

    monotonic = time

    def vary(self, seconds):
        return seconds

    async def pause(self, changed, seconds):
        if self.meanwhile:
            self.meanwhile.pop()()
        for _ in range(5):
            await asyncio.sleep(0)
        if changed.is_set():
            changed.clear()
            return
        assert len(self.looks) < 1000, "it waits for ever"
        self.now += max(seconds, 0)

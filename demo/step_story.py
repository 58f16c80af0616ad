# SPDX-License-Identifier: Apache-2.0
"""The story of a step: an action of a pipeline runs a DAG, and ends as its run does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from demo.rest_api import AirflowFailed
from demo.story import RUN_ENDED, Story, action

STEP = {"category": "Invoke", "owner": "Custom", "provider": "AirflowDag", "version": "1"}
TRAINING = "example_train_model"
POLLING, WORKING = "example_run_dag_step", "example_run_dag_step_job"


class StepStory(Story):
    """Run a DAG as a step; then ask for a DAG that pipelines may not run."""

    examples = (POLLING,)
    dags = (TRAINING, WORKING, POLLING)

    def tell(self) -> None:
        """Run the pipelines ``demo-pipeline`` and ``not-allowed``."""
        # The progress is shown as the action goes on in a new job. The worker waits for it by then.
        self.emulator.configure(continuation_delay=5)
        self.connect_aws()
        self.create_action_type("airflow-dag.yaml")
        conf = json.dumps({"day": "2026-01-31", "seconds": 3})
        outputs = "Accuracy=evaluate, Model=train:uri"
        self._declare(self.pipeline_name, {"Dag": TRAINING, "Conf": conf, "Outputs": outputs})
        self._declare("not-allowed", {"Dag": "pay_everybody"})
        self.switch_on()
        self.begin("waiting for the worker's first poll")
        self.wait_for_poll(POLLING)
        self.begin("following the step: what both consoles show")
        trained = self._run(self.pipeline_name)
        if trained["status"] != "Succeeded":
            raise AirflowFailed("The step has not succeeded.", self.log_of_failure(WORKING))
        for name, value in trained["output"]["outputVariables"].items():
            self.say(f"CodePipeline  later actions read #{{Train.{name}}}: {value}")
        self.say(f"CodePipeline  its work: {trained['output']['executionResult']['externalExecutionUrl']}")
        self.begin("running a pipeline whose action names a DAG that is not allowed")
        refused = self._run("not-allowed")
        error = refused["output"]["executionResult"].get("errorDetails", {})
        if error.get("code") != "PermissionError":
            raise AirflowFailed("The DAG was not refused.")
        self.say(f"The customer reads {error['code']}: {error['message']}")

    def _declare(self, name: str, configuration: Mapping[str, str]) -> None:
        train = action("Train", STEP, inputs=["SourceOutput"])
        train |= {"namespace": "Train", "configuration": configuration}
        self.declare_pipeline(name, {"name": "Train", "actions": [train]})
        for key, value in configuration.items():
            self.say(f"  its action Train has {key} = {value}")

    def _run(self, name: str) -> Mapping[str, Any]:
        """Run a pipeline, and return what ListActionExecutions says of its step in the end."""
        started = self.console.start_pipeline_execution(name=name)["pipelineExecutionId"]

        def ended() -> bool:
            self.show_news(name, (WORKING, TRAINING))
            shown = self.console.get_pipeline_execution(pipelineName=name, pipelineExecutionId=started)
            return bool(shown["pipelineExecution"]["status"] != "InProgress")

        self.wait_for(ended, f"the end of pipeline {name}")
        # The action may have had several jobs; the run has the first one's id.
        jobs = [job.job_id for job in self.emulator.jobs() if job.pipeline_execution_id == started]
        self.job_ids += jobs
        self.wait_for(
            lambda: self.run_state(WORKING, f"codepipeline__{jobs[0]}") in RUN_ENDED, "the end of its run"
        )
        self.show_last_news(name, (WORKING, TRAINING))
        found = self.console.list_action_executions(
            pipelineName=name, filter={"pipelineExecutionId": started}
        )
        step: Mapping[str, Any] = next(
            each for each in found["actionExecutionDetails"] if each["actionName"] == "Train"
        )
        return step

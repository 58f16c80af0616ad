# SPDX-License-Identifier: Apache-2.0
"""The story of a start: a DAG starts a pipeline, and waits until others have done what it asks for."""

from __future__ import annotations

from demo.rest_api import AirflowFailed
from demo.story import RUN_ENDED, Story, action, secret

STARTING = "example_start_pipeline"
BUILDING = ("example_custom_jobs_by_query", "example_build_with_output_variables")
BUILD = {"category": "Build", "owner": "Custom", "provider": "Airflow", "version": "1"}
DEPLOY = {"category": "Deploy", "owner": "AWS", "provider": "CodeDeploy", "version": "1"}
APPROVE = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
NO_HOSTS = {"code": "NoHealthyHosts", "message": "3 of 5 hosts are not healthy."}


class StartStory(Story):
    """Start a pipeline that ends well, and then one that fails."""

    examples = (STARTING, *BUILDING)

    def tell(self) -> None:
        """Run the pipeline ``demo-pipeline`` twice."""
        self.connect_aws()
        self.create_action_type("action-type.yaml")
        build = action("Build", BUILD, inputs=["SourceOutput"], outputs=["BuildOutput"])
        build["configuration"] = {"Target": secret("plain+value"), "ApiKey": secret("secret+value")}
        self.secrets["configuration value"].add(build["configuration"]["Target"])
        self.secrets["secret configuration value"].add(build["configuration"]["ApiKey"])
        self.declare_pipeline(
            self.pipeline_name,
            {"name": "Build", "actions": [build]},
            {"name": "Staging", "actions": [action("Deploy", DEPLOY, inputs=["BuildOutput"])]},
            {"name": "Production", "actions": [action("Approve", APPROVE)]},
            variables=[{"name": "Version"}],
        )
        self.say(f"  Airflow itself does Build, with {BUILDING[1]}; a person does Approve")
        self.switch_on()
        self.begin("waiting for the worker's first poll")
        self.wait_for_poll(BUILDING[0])
        self.begin(f"running {STARTING}: what both consoles show")
        if self._run("1.0") != "success":
            raise AirflowFailed("The DAG run has not succeeded.", self.log_of_failure(STARTING))
        self._show_log("1.0")
        self.emulator.fail_action(
            self.pipeline_name, "Deploy", code=NO_HOSTS["code"], message=NO_HOSTS["message"]
        )
        self.begin(f"running {STARTING} once more: this time the deployment fails")
        if self._run("1.1") != "failed":
            raise AirflowFailed("The DAG run has not failed, as it was to.")
        self._show_log("1.1", f"Staging / Deploy: {NO_HOSTS['code']}: {NO_HOSTS['message']}")

    def _run(self, version: str) -> str | None:
        """Run the DAG, and return the state of the run in the end."""
        run_id = f"version-{version}"
        conf = {"pipeline_name": self.pipeline_name, "version": version}
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self.airflow.api.call("POST", f"/dags/{STARTING}/dagRuns", body)
        state: str | None = None

        def ended() -> bool:
            nonlocal state
            self.show_news(self.pipeline_name, self.examples)
            self._approve()
            state = self.run_state(STARTING, run_id)
            return state in RUN_ENDED

        self.wait_for(ended, f"the end of the run {run_id}")
        self.show_last_news(self.pipeline_name, self.examples)
        self.job_ids += [job.job_id for job in self.emulator.jobs()]
        return state

    def _approve(self) -> None:
        """Approve, if the pipeline asks, as the release manager does in the console."""
        production = self.console.get_pipeline_state(name=self.pipeline_name)["stageStates"][-1]
        latest = production["actionStates"][0].get("latestExecution", {})
        if latest.get("status") != "InProgress":
            return
        self.secrets["approval token"].add(latest["token"])
        self.console.put_approval_result(
            pipelineName=self.pipeline_name,
            stageName="Production",
            actionName="Approve",
            result={"summary": "Looks good.", "status": "Approved"},
            token=latest["token"],
        )
        self.say("The release manager approves, with PutApprovalResult.")

    def _show_log(self, version: str, why: str = "") -> None:
        """
        Print what the log of the waiting task says of the pipeline.

        :param why: What its last line names.
        :raises AirflowFailed: It does not.
        """
        self.say("")
        self.say("The log of the task release says:")
        lines = self.log_lines(STARTING, f"version-{version}", "release")
        said = [line for line in lines if " / " in line or self.pipeline_name in line]
        for line in said:
            self.say(f"  {line}")
        if not said or why not in said[-1]:
            raise AirflowFailed("The log does not say what became of the pipeline.")

# SPDX-License-Identifier: Apache-2.0
"""An emulated CodePipeline and a real Airflow, with jobs and executions in the states that the pages show."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from declaring import APPROVAL, CODE_DEPLOY, S3, TRUST, action, stage
from support import admin_client, airflow_connections

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import USER, LocalAirflow

HERE = Path(__file__).parent
SECONDS = 180
CONTINUATION_DELAY = 12
#: Sees all DAGs, and may see the builds only.
ADMIN, BUILDER = USER, "builder"
EDGE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Edge", "version": "1"}
IMAGE = {"category": "Build", "owner": "Custom", "provider": "Image", "version": "1"}
PARTNERS_DAG, CUSTOM_DAG, STARTING_DAG = "deploy_to_edge", "build_image", "release_train"
#: Longer than a table's cell, with a word that does not break, markup and quotes.
LONG = (
    "Two of fourteen locations refused the release: fra1 and sin1 answered with 503 to the health check at "
    f"https://edge.example/health/{'releases-' * 30}check. "
    "<script>document.title = 'owned'</script> & \"quotes\" are text. " + "The release was taken back. " * 20
).strip()
NO_HOSTS = "3 of 5 hosts are not healthy."
PLANTED = {"Target": "planted-value-4711", "ApiKey": "planted-secret-0815"}


@dataclasses.dataclass
class Shown:
    """A job or an execution, and the run that it has in Airflow."""

    pipeline: str
    dag_id: str
    run_id: str
    job_id: str | None = None
    client_id: str | None = None
    execution_id: str | None = None
    #: Makes the job go on, if it waits.
    release: Path | None = None


class World:
    """
    Everything that a browser needs to look at.

    :param home: The directory for all that is written.
    :param on_wait: Called several times a second while waiting.
    """

    def __init__(self, home: Path, emulator: Emulator, on_wait: Callable[[], None] = lambda: None) -> None:
        self.home, self.emulator = home, emulator
        self.customers = [emulator.add_customer() for _ in range(2)]
        self.passwords = {BUILDER: secrets.token_urlsafe(16)}
        dags, auth = home / "dags", home / "auth"
        shutil.copytree(HERE / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
        auth.mkdir()
        shutil.copy(HERE / "dag_rights.py", auth)
        connections: dict[str, str] = {}
        for customer in self.customers:
            connections |= airflow_connections(emulator, customer)
        self.airflow = LocalAirflow(
            home / "airflow",
            dags,
            environment={
                **connections,
                "PYTHONPATH": str(auth),
                "VISIBLE_DAGS": json.dumps({BUILDER: [CUSTOM_DAG]}),
                "AIRFLOW__CORE__AUTH_MANAGER": "dag_rights.DagRights",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{BUILDER}:viewer",
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__PARALLELISM": "8",
            },
            preloaded=["airflow_codepipeline_partner.hooks"],
            on_wait=on_wait,
        )
        self.passwords[ADMIN] = self.airflow.password
        self.jobs: dict[str, Shown] = {}
        self.executions: dict[str, Shown] = {}
        self._client = admin_client(emulator, "codepipeline")

    @property
    def url(self) -> str:
        """Where Airflow is."""
        return self.airflow.url

    @property
    def secrets(self) -> list[str]:
        """What no page may show."""
        return [*PLANTED.values(), *(customer.client_token for customer in self.customers)]

    def start(self) -> None:
        """Start Airflow, and wait until it knows the DAGs."""
        self.airflow.migrate()
        (self.airflow.home / "passwords.json").write_text(json.dumps(self.passwords))
        self.airflow.start_components()
        self.airflow.wait_until_healthy()
        wanted = {PARTNERS_DAG, CUSTOM_DAG, STARTING_DAG}
        self.airflow.wait_for(
            lambda: wanted <= {each["dag_id"] for each in self._get("/dags")["dags"]}, "DAGs", SECONDS
        )

    def make_jobs(self) -> None:
        """Make a job in each state that matters, and return when all are there."""
        # Airflow may fail what goes on before its scheduler knows that it was deferred.
        self.emulator.configure(continuation_delay=CONTINUATION_DELAY)
        self.add_job("succeeded", "storefront")
        self.add_job("failed", "checkout", customer=1, fails=LONG)
        self.add_job("custom", "mobile-backend", owner="Custom", run_id="manual__2026-11-29T01:02:03+00:00")
        self.add_job("working", "catalog", release="catalog.done")
        self.add_job("custom working", "data-platform", owner="Custom", release="data-platform.done")
        for name in ("succeeded", "failed", "custom"):
            self.wait_for_run(self.jobs[name], "success", "failed")
        # So late that this one waits as long as somebody looks.
        self.emulator.configure(continuation_delay=3600)
        self.add_job("half way", "accounts")
        self.wait_for_task(self.jobs["half way"], "half_way", "deferred")
        for name in ("working", "custom working"):
            self.wait_for_task(self.jobs[name], "build", "running")

    def make_executions(self) -> None:
        """Start pipelines from Airflow: one ends well, one fails, one waits for an approval."""
        role = admin_client(self.emulator, "iam").create_role(
            RoleName="pipelines", AssumeRolePolicyDocument=TRUST
        )["Role"]["Arn"]
        s3 = admin_client(self.emulator, "s3")
        for bucket in ("sources", "artifacts"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="sources", Key="app.zip", Body=b"the source")
        for name, pipeline in (("ended", "website"), ("failed", "newsletter"), ("waiting", "payments")):
            self._declare(pipeline, role, approved=name == "waiting")
            if name == "failed":
                self.emulator.fail_action(pipeline, "Deploy", code="NoHealthyHosts", message=NO_HOSTS)
            shown = Shown(pipeline, STARTING_DAG, f"release-{pipeline}")
            self._start_run(shown, {"pipeline": pipeline})
            self.executions[name] = shown
        for name, state in (("ended", "success"), ("failed", "failed"), ("waiting", "running")):
            shown = self.executions[name]
            self.wait_for_run(shown, state)
            if name == "waiting":
                self.wait_for_task(shown, "release", "deferred")
            [found] = self._client.list_pipeline_executions(pipelineName=shown.pipeline)[
                "pipelineExecutionSummaries"
            ]
            shown.execution_id = found["pipelineExecutionId"]

    def add_job(
        self,
        name: str,
        pipeline: str,
        *,
        owner: str = "ThirdParty",
        customer: int = 0,
        run_id: str | None = None,
        release: str | None = None,
        **conf: Any,
    ) -> Shown:
        """
        Start a pipeline, and a run for its job.

        :param name: What it is called here.
        :param owner: Of the action.
        :param customer: Whose it is, by its number, if it is a partner's.
        :param run_id: Of the run. Defaults to the one that the package gives it.
        :param release: Name of the file for which it waits.
        :param conf: More of the run's conf.
        """
        partners = owner == "ThirdParty"
        client_id = self.customers[customer].client_id if partners else None
        if pipeline not in self.emulator.pipelines():
            self.emulator.add_pipeline(
                pipeline,
                client_id=client_id,
                action_type=EDGE if partners else IMAGE,
                configuration=PLANTED,
                secret_configuration_keys=("ApiKey",),
                stage_name="Deploy" if partners else "Build",
                action_name="PublishToEdge" if partners else "Image",
            )
        self.emulator.start_execution(pipeline)
        job = self._offered(partners)
        shown = Shown(
            pipeline,
            PARTNERS_DAG if partners else CUSTOM_DAG,
            run_id or f"codepipeline__{job['job_id']}",
            job_id=job["job_id"],
            client_id=client_id,
        )
        if release is not None:
            shown.release = self.home / release
            conf["until"] = str(shown.release)
        self._start_run(shown, {"job": job, **conf})
        self.jobs[name] = shown
        return shown

    def wait_for_run(self, shown: Shown, *states: str) -> None:
        """Wait until a run has one of the states."""
        self.airflow.wait_for(
            lambda: self._get(self._path(shown))["state"] in states, f"{shown}: {states}", SECONDS
        )

    def wait_for_task(self, shown: Shown, task_id: str, state: str) -> None:
        """Wait until a task has a state."""
        path = f"{self._path(shown)}/taskInstances/{task_id}"
        self.airflow.wait_for(lambda: self._get(path)["state"] == state, f"{shown}: {task_id}", SECONDS)

    def _offered(self, partners: bool) -> dict[str, Any]:
        """Return the one job that waits, as a poll finds it."""
        if partners:
            [found] = self._client.poll_for_third_party_jobs(actionTypeId=EDGE, maxBatchSize=10)["jobs"]
            return {"job_id": found["jobId"], "client_id": found["clientId"], "action_type": EDGE}
        [found] = self._client.poll_for_jobs(actionTypeId=IMAGE, maxBatchSize=10)["jobs"]
        return {"job_id": found["id"], "nonce": found["nonce"], "action_type": IMAGE}

    def _declare(self, name: str, role: str, *, approved: bool) -> None:
        fetch = action("Fetch", S3, outputs=["App"])
        fetch["configuration"] = {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}
        stages = [stage("Source", fetch), stage("Deploy", action("Deploy", CODE_DEPLOY, inputs=["App"]))]
        if approved:
            stages.append(stage("Release", action("Approve", APPROVAL)))
        self._client.create_pipeline(
            pipeline={
                "name": name,
                "roleArn": role,
                "artifactStore": {"type": "S3", "location": "artifacts"},
                "stages": stages,
            }
        )

    def _start_run(self, shown: Shown, conf: Mapping[str, Any]) -> None:
        body = {"dag_run_id": shown.run_id, "logical_date": None, "conf": conf}
        self.airflow.api.call("POST", f"/dags/{shown.dag_id}/dagRuns", body)

    def _path(self, shown: Shown) -> str:
        return f"/dags/{shown.dag_id}/dagRuns/{quote(shown.run_id, safe='')}"

    def _get(self, path: str) -> Any:
        return self.airflow.api.call("GET", path)


@contextlib.contextmanager
def a_world(home: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[World]:
    """Make a world with all its jobs and executions, and end all of it afterwards."""
    with Emulator() as emulator:
        world = World(home, emulator, on_wait)
        try:
            world.start()
            world.make_executions()
            world.make_jobs()
            yield world
        finally:
            world.airflow.stop()

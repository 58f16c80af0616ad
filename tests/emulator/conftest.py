# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import hashlib
import json
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from declaring import ACTION_TYPE, CUSTOM_TYPE, Declaring

from airflow_codepipeline_partner.emulator import Clock, Emulator, Settings

ONCE = Config(read_timeout=20, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
NOON = 1_800_000_000.0


@pytest.fixture(scope="session")
def aws():
    return boto3.Session(
        aws_access_key_id="AKIAADMIN", aws_secret_access_key="admin", region_name="us-east-1"
    )


@pytest.fixture
def client(aws):
    """Make a boto3 client, without retries, that is closed after the test."""
    made = []

    def make(service, emu, **options):
        made.append(aws.client(service, endpoint_url=emu.url, **({"config": ONCE} | options)))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Worker:
    """A partner's worker, as far as boto3 goes."""

    def __init__(self, client, token):
        self.client, self.token = client, token

    def poll(self, limit=10, **action_type):
        asked = ACTION_TYPE | action_type
        return self.client.poll_for_third_party_jobs(actionTypeId=asked, maxBatchSize=limit)["jobs"]

    def poll_ids(self, limit=10):
        return [job["jobId"] for job in self.poll(limit)]

    def details(self, job_id):
        return self.client.get_third_party_job_details(jobId=job_id, clientToken=self.token)["jobDetails"]

    def acknowledge(self, job_id, nonce=None):
        nonce = nonce or self.details(job_id)["nonce"]
        return self.client.acknowledge_third_party_job(jobId=job_id, nonce=nonce, clientToken=self.token)[
            "status"
        ]

    def claim(self):
        [job_id] = self.poll_ids(1)
        assert self.acknowledge(job_id) == "InProgress"
        return job_id

    def succeed(self, job_id, **result):
        self.client.put_third_party_job_success_result(jobId=job_id, clientToken=self.token, **result)

    def fail(self, job_id, message="no", type="JobFailed", **more):
        details = {"type": type, "message": message, **more}
        self.client.put_third_party_job_failure_result(
            jobId=job_id, clientToken=self.token, failureDetails=details
        )

    @property
    def error(self):
        return self.client.exceptions


class CustomWorker(Worker):
    """A worker of custom actions, which has no token, and learns nonces from polls only."""

    def __init__(self, client):
        super().__init__(client, None)
        self.nonces = {}

    def poll(self, limit=10, query=None, **action_type):
        asked = {"actionTypeId": CUSTOM_TYPE | action_type, "maxBatchSize": limit}
        jobs = self.client.poll_for_jobs(**asked, **({} if query is None else {"queryParam": query}))["jobs"]
        self.nonces |= {job["id"]: job["nonce"] for job in jobs}
        return jobs

    def poll_ids(self, limit=10):
        return [job["id"] for job in self.poll(limit)]

    def details(self, job_id):
        return self.client.get_job_details(jobId=job_id)["jobDetails"]

    def acknowledge(self, job_id, nonce=None):
        return self.client.acknowledge_job(jobId=job_id, nonce=nonce or self.nonces[job_id])["status"]

    def succeed(self, job_id, **result):
        self.client.put_job_success_result(jobId=job_id, **result)

    def fail(self, job_id, message="no", type="JobFailed", **more):
        details = {"type": type, "message": message, **more}
        self.client.put_job_failure_result(jobId=job_id, failureDetails=details)


@dataclasses.dataclass
class World:
    emu: Emulator
    customer: object
    worker: Worker
    make_client: object

    def create(self, *properties, **definition):
        """Create a custom action type; a property is not required, no key and no secret unless it says so."""
        usual = {"required": False, "key": False, "secret": False}
        counts = {"minimumCount": 0, "maximumCount": 5}
        asked = {name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")}
        asked |= {"inputArtifactDetails": counts, "outputArtifactDetails": counts}
        if properties:
            asked["configurationProperties"] = [usual | each for each in properties]
        return self.worker.client.create_custom_action_type(**(asked | definition))["actionType"]

    def start(self, name="pipeline"):
        return self.emu.start_execution(name)

    def status(self, job_id):
        return next(job.status for job in self.emu.jobs() if job.job_id == job_id)

    def action(self, name="pipeline"):
        """The partner action's state, as the console shows it."""
        state = self.worker.client.get_pipeline_state(name=name)
        return state["stageStates"][1]["actionStates"][0]["latestExecution"]


@pytest.fixture
def start_emulator():
    """Start an emulator whose time only the test moves."""
    running = []

    def start(clock=None, **settings):
        running.append(Emulator(settings=Settings(**settings), clock=clock or Clock(lambda: NOON)).start())
        return running[-1]

    yield start
    for emu in running:
        emu.stop()


@pytest.fixture
def world(client, start_emulator):
    """An emulator with one customer and one pipeline without artifacts."""

    def make(pipeline=None, clock=None, **settings):
        emu = start_emulator(clock, **settings)
        customer = emu.add_customer()
        options = {"input_artifacts": ()} | (pipeline or {})
        emu.add_pipeline("pipeline", client_id=customer.client_id, **options)
        return World(emu, customer, Worker(client("codepipeline", emu), customer.client_token), client)

    return make


@pytest.fixture
def custom_world(client, start_emulator):
    """An emulator with one pipeline of a custom action without artifacts; with none if that is False."""

    def make(pipeline=None, **settings):
        emu = start_emulator(**settings)
        w = World(emu, None, CustomWorker(client("codepipeline", emu)), client)
        if pipeline is not False:
            emu.add_pipeline(
                "pipeline", **({"action_type": CUSTOM_TYPE, "input_artifacts": ()} | (pipeline or {}))
            )
        return w

    return make


@pytest.fixture
def http():
    """Speak HTTP: returns the status, the parsed JSON or the raw body, and the headers."""

    def call(url, body=None, headers=None, method=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers or {}, method=method)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                status, text, got = response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                status, text, got = error.code, error.read(), error.headers
        try:
            return status, json.loads(text), got
        except ValueError:
            return status, text, got

    return call


@pytest.fixture
def control(world, http):
    """Call a control over HTTP: returns the status and the JSON; its ``w`` is the world."""
    w = world()

    def call(method, path, body=None):
        return http(f"{w.emu.url}/_emu{path}", body, {"Content-Type": "application/json"}, method)[:2]

    call.w = w
    return call


@pytest.fixture
def signed_call(http):
    """Send a CodePipeline call as any client of AWS JSON does; the emulator does not check who signed."""

    def call(emu, operation, body, service="codepipeline", region="us-east-1", **headers):
        scope = f"AKIAADMIN/20270101/{region}/{service}/aws4_request"
        return http(
            emu.url,
            body,
            {
                "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
                "X-Amz-Target": f"CodePipeline_20150709.{operation}",
                "Content-Type": "application/x-amz-json-1.1",
            }
            | headers,
        )

    return call


class Artifacts:
    """A claimed job with an S3 client of its credentials."""

    def __init__(self, w, **client_options):
        self.w = w
        w.emu.start_execution("pipeline", artifacts={"In": b"source"})
        self.job_id = w.worker.claim()
        data = w.worker.details(self.job_id)["data"]
        keys = data["artifactCredentials"]
        self.keys = {
            "aws_access_key_id": keys["accessKeyId"],
            "aws_secret_access_key": keys["secretAccessKey"],
            "aws_session_token": keys["sessionToken"],
        }
        self.s3 = self.client("s3", **client_options)
        self.source, self.built = (
            {"Bucket": place["bucketName"], "Key": place["objectKey"]}
            for place in (
                data[name][0]["location"]["s3Location"] for name in ("inputArtifacts", "outputArtifacts")
            )
        )

    def client(self, service, **options):
        return self.w.make_client(service, self.w.emu, **(self.keys | options))

    def signed(self, http, method, place, body=b"", sign="body", headers=None, query="", token=None):
        """Send a request of our own, signed with the job's credentials by botocore."""
        path = urllib.parse.quote(f"/{place['Bucket']}/{place['Key']}")
        credentials = Credentials(
            self.keys["aws_access_key_id"],
            self.keys["aws_secret_access_key"],
            token or self.keys["aws_session_token"],
        )
        # urllib sends a body as a form by default, which moto does not read.
        headers = {"Content-Type": "application/octet-stream"} | (headers or {})
        request = AWSRequest(method, f"{self.w.emu.url}{path}{query}", headers=headers, data=body)
        signer = _Signer(credentials, "s3", "us-east-1")
        signer.signed_payload = hashlib.sha256(body).hexdigest() if sign == "body" else sign
        signer.add_auth(request)
        return http(request.url, body or None, dict(request.headers.items()), method)


class _Signer(S3SigV4Auth):
    signed_payload = ""

    def payload(self, request):
        return self.signed_payload


@pytest.fixture
def artifacts_of():
    """Claim a job of a world whose pipeline has the artifacts In and Out."""
    return Artifacts


@pytest.fixture
def artifacts(world):
    pipeline = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": "artifact-bucket"}
    return Artifacts(world(pipeline=pipeline))


@pytest.fixture
def made(custom_world, client):
    """An emulator with one custom action type, an object to begin with, and no pipeline."""

    def make(*properties, **settings):
        w = custom_world(pipeline=False, **settings)
        # moto, which keeps the pipelines too, is one for all tests of the process.
        w.emu.reset()
        w.create(*properties)
        declaring = Declaring(w, client)
        declaring.put_source()
        return declaring

    return make

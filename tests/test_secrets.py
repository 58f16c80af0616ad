# SPDX-License-Identifier: Apache-2.0
"""No secret is where it must not be: secrets are planted, a run is done, and then they are looked for."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import urllib.parse
from pathlib import Path

import pytest
from support import ACTION_TYPE, results_of

from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.emulator import Customer

TOKEN = "planted-client-token-7c1e5a"
STALE_TOKEN = "planted-stale-token-90b2d4"
CONFIGURATION = "planted-configuration-51f0"
SECRET_CONFIGURATION = "planted-secret-config-66aa"


@pytest.fixture
def planted(emulator, aws_connection, store_token, monkeypatch):
    """Plant secrets in a pipeline; return all that must not be found, by kind."""
    customer = emulator.add_customer(client_token=TOKEN)
    emulator.add_pipeline(
        "pipe",
        client_id=customer.client_id,
        action_type=ACTION_TYPE,
        configuration={"Target": CONFIGURATION, "Key": SECRET_CONFIGURATION},
        secret_configuration_keys=("Key",),
        output_artifacts=("Report",),
    )
    store_token(customer)
    secrets = {
        "client token": TOKEN,
        "stale client token": STALE_TOKEN,
        "configuration value": CONFIGURATION,
        "secret configuration value": SECRET_CONFIGURATION,
    }
    send = Transport.send

    def noting(self, call, given=None, **kwargs):
        answer = send(self, call, given, **kwargs)
        details = answer.get("jobDetails", {})
        credentials = details.get("data", {}).get("artifactCredentials", {})
        for kind, value in {**credentials, "nonce": details.get("nonce")}.items():
            # The id of an access key is no secret: AWS itself shows it in its logs.
            if value and kind != "accessKeyId":
                secrets[f"{kind} {len(secrets)}"] = value
        return answer

    monkeypatch.setattr(Transport, "send", noting)
    return secrets


def found(secrets, text):
    """Return the kinds of secrets that a text holds, plain or encoded; never the secrets themselves."""
    kinds = set()
    for kind, secret in secrets.items():
        forms = (secret, urllib.parse.quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
        if any(form.encode() in text for form in forms):
            kinds.add(kind)
    return kinds


def all_that_airflow_keeps():
    """Return the database and all logs, as they lie on the disk."""
    home = Path(os.environ["AIRFLOW_HOME"])
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.endswith((".py", ".pyc"))]
    assert any(path.name.startswith("airflow.db") for path in files)
    # By another process: closing the database's file here would drop the locks that SQLite holds on it.
    return subprocess.run(["cat", *files], check=True, capture_output=True).stdout


ONE_JOB = "one_job_assume_ours_0_retries"


@pytest.mark.parametrize(
    ("dag_id", "trouble"),
    [
        (ONE_JOB, None),
        (ONE_JOB, "failing work"),
        (ONE_JOB, "rotated token"),
        (ONE_JOB, "wrong token"),
        (ONE_JOB, "throttling"),
        (ONE_JOB, "lost answers"),
        (ONE_JOB, "quoting refusal"),
        ("example_claim_work_finish", None),
        ("claim_and_put", None),
        ("claim_and_put", "lost answers"),
        ("many_jobs", None),
        ("continued", None),
        ("continued", "lost answers"),
        ("example_watch_external_work", None),
    ],
)
def test_planted_secrets_are_nowhere(
    emulator, planted, make_hook, run_dag, store_token, capfd, caplog, dag_id, trouble
):
    caplog.set_level(logging.INFO)
    emulator.configure(continuation_delay=0)
    emulator.start_execution("pipe")
    [job] = [offered.to_xcom() for offered in make_hook().poll(ACTION_TYPE)]
    customer_id = job["client_id"]
    conf = {**job, "job": job, "jobs": [job], "work": "succeed", "seconds": 1, "progress_interval": 0.3}
    if trouble == "failing work":
        conf["work"] = "fail"
    elif trouble == "rotated token":
        emulator.rotate_token(customer_id, client_token=STALE_TOKEN)
    elif trouble == "wrong token":
        store_token(Customer(customer_id, STALE_TOKEN))
    elif trouble == "throttling":
        emulator.inject("throttle", times=2)
    elif trouble == "lost answers":
        for operation in ("AcknowledgeThirdPartyJob", "PutThirdPartyJobSuccessResult"):
            emulator.inject("drop_response", operation=operation, times=1)
    elif trouble == "quoting refusal":
        # AWS quotes the value that it refuses.
        emulator.inject(
            "error",
            operation="AcknowledgeThirdPartyJob",
            times=1,
            code="ValidationException",
            message=f"1 validation error detected: Value '{TOKEN}' at 'clientToken' failed",
        )
    run = run_dag(dag_id, **conf)
    assert run.states
    shown = "".join(capfd.readouterr()).encode() + caplog.text.encode()
    assert b"[DAG TEST]" in shown
    assert len(planted) > 4 or trouble in ("rotated token", "wrong token")
    assert found(planted, shown) == set()
    assert found(planted, all_that_airflow_keeps()) == set()
    assert results_of(emulator, job) or trouble in ("rotated token", "wrong token", "quoting refusal")


def test_the_search_finds_what_is_there():
    assert found({"plain": TOKEN}, f"…{TOKEN}…".encode()) == {"plain"}
    assert found({"base64": TOKEN}, base64.b64encode(TOKEN.encode())) == {"base64"}
    assert found({"other": STALE_TOKEN}, TOKEN.encode()) == set()

# SPDX-License-Identifier: Apache-2.0
"""The command as a whole: what it asks for, what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys

import pytest
from action_type_server import as_process
from doctor_rows import TYPE, findings

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner.doctor import aws_access, checks
from airflow_codepipeline_partner.doctor.findings import Check, Line, failed, passed, unknown
from airflow_codepipeline_partner.doctor.report import print_report, to_json

pytestmark = pytest.mark.usefixtures("no_database")
GROUPS = ["Versions", "AWS", "Client tokens", "Airflow"]


def groups(report):
    return list(dict.fromkeys(each["group"] for each in report["checks"]))


def test_all_is_checked_that_is_asked_for(doctor, aws, declared, customer):
    report = doctor(TYPE, "--pipeline", "pipe", code=0)
    assert groups(report) == [*GROUPS[:2], "Action type", "Permissions", "Pipeline", *GROUPS[2:]]
    assert {outcome for outcome, _ in findings(report, "Permissions")} == {"pass"}
    assert len(findings(report, "Permissions")) == 5


def test_what_is_not_asked_for_is_left_out(doctor, aws):
    assert groups(doctor(code=0)) == GROUPS


def test_without_a_database_the_rest_is_checked(doctor, aws):
    report = doctor(code=0)
    assert {outcome for outcome, _ in findings(report, "Airflow")} == {"unknown"}
    assert {outcome for outcome, _ in findings(report, "AWS")} == {"pass"}


def test_unknown_is_no_failure_unless_it_is_strict(doctor, aws):
    assert doctor(code=0)["counts"]["unknown"] > 0
    doctor("--strict", code=1)


def test_a_failure_is(doctor, aws):
    report = doctor("Build/Other/1", code=1)
    assert [outcome for outcome, _ in findings(report, "Action type")] == ["fail"]


def test_partners_are_checked_by_their_calls(emulator, doctor, aws, customer):
    emulator.configure(check_first="token")
    report = doctor("Deploy/ThirdParty/Example/1", "--client-id", customer.client_id, code=0)
    assert "codepipeline:PollForThirdPartyJobs" in [each["subject"] for each in report["checks"]]
    assert findings(report, "Client tokens", "known to CodePipeline") == [
        ("pass", "CodePipeline knows 1 of 1 client tokens.")
    ]
    assert customer.client_token not in json.dumps(report)


def test_the_wake_queue_and_what_dags_do_with_a_pipeline(doctor, aws, customer):
    queue = "arn:aws:sqs:us-east-1:123456789012:started"
    report = doctor("--pipeline", "pipe", "--for", "wait", "--wake-queue", queue, code=0)
    assert [each["subject"] for each in report["checks"] if each["group"] == "Permissions"] == [
        *(f"codepipeline:{call}" for call in ("GetPipelineExecution", "ListPipelineExecutions")),
        "codepipeline:ListActionExecutions",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
    ]


def test_a_file_is_compared_with_what_is_there(doctor, aws, declared, tmp_path):
    file = tmp_path / "type.yaml"
    file.write_text(
        "{category: Build, provider: Airflow, version: 1, inputArtifactDetails: {maximumCount: 1}}"
    )
    [(outcome, what)] = findings(doctor(str(file), code=1), "Action type")
    assert (outcome, "differs from its declaration" in what) == ("fail", True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["no-such-file.yaml"], "no-such-file.yaml"),
        (["Build/AWS/CodeBuild/1"], "owner AWS are not served"),
        (["Build/ThirdParty/Bad provider/1"], "provider"),
        (["--for", "start"], "give --pipeline, too"),
        (["--pipeline", "shop", "--for", "planted-secret"], "no such purpose"),
        (["--wake-queue", "planted-secret"], "wake_queue_arn"),
        (["--client-conn-id-template", "{planted}"], "client_conn_id_template"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_said_before_anything_is_asked(emulator, aws, capsys, wrong, said):
    assert cli.main(["doctor", *wrong]) == 2
    printed = capsys.readouterr()
    assert (printed.out, said in printed.err) == ("", True)
    assert "planted-secret" not in printed.err
    assert emulator.ledger.where(kind="call") == []


def test_a_wrong_option_is_said_with_the_usage(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", "--nonsense"])
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("text", [True, False])
def test_no_secret_is_shown_whatever_goes_wrong(emulator, doctor, aws, customer, store_token, text):
    store_token(customer, password="planted-token")
    message = "planted-secret planted-token"
    for call in ("GetThirdPartyJobDetails", "AcknowledgeThirdPartyJob", "PollForThirdPartyJobs"):
        emulator.inject("error", call, code="ValidationException", message=message, times=None)
    # The fixture looks for what was planted.
    doctor("Deploy/ThirdParty/Example/1", "--client-id", customer.client_id, text=text)


def test_none_stands_for_boto3s_own_chain(emulator, doctor, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    report = doctor("--aws-conn-id", "None", "--region", "eu-central-1", code=0)
    assert ("pass", "None is used: boto3's own credentials and region count.") in findings(report, "AWS")
    doctor("--region", "eu-central-1", code=1)


def test_what_hangs_ends_at_its_limit(emulator, doctor, aws, monkeypatch):
    monkeypatch.setattr(checks, "LIMIT", 0.05)
    monkeypatch.setattr(aws_access.AwsAccess.__init__, "__kwdefaults__", {"limit": 0.05})
    emulator.inject("slow", "GetJobDetails", seconds=60, times=None)
    report = doctor()
    emulator.clear_faults()
    said = dict(zip(("connection", "region", "endpoint"), findings(report, "AWS"), strict=False))
    assert said["endpoint"][0] == "unknown"
    assert "no answer within" in said["endpoint"][1]


# What is printed.

LINES = [
    Line("AWS", "region", passed("The region is eu-central-1.")),
    Line("AWS", "clock", unknown("No time.", "Look.")),
    Line("Airflow", "component", failed("No triggerer.", "Start it.", "triggerer")),
]
TEXT = """\
AWS
  pass     region: The region is eu-central-1.
  unknown  clock: No time.
           → Look.

Airflow
  fail     component: No triggerer.
           → Start it.

1 passed, 1 failed, 1 unknown.
Left out, for what is said above: DAG files, claims.
"""
LEFT_OUT = [Check("Airflow", name, lambda: [], 1) for name in ("DAG files", "claims")]


def test_the_text_is_plain_where_it_is_no_terminal():
    output = io.StringIO()
    assert print_report(iter(LINES), LEFT_OUT, output) == LINES
    assert output.getvalue() == TEXT


def test_a_terminal_sees_the_same_words_in_colour(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output = io.StringIO()
    output.isatty = lambda: True
    print_report(iter(LINES), LEFT_OUT, output)
    assert "\x1b[" in output.getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue()) == TEXT
    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    plain.isatty = lambda: True
    print_report(iter(LINES), [], plain)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain.getvalue())


def test_the_json_has_its_documented_shape():
    assert to_json(LINES, LEFT_OUT) == {
        "version": 1,
        "checks": [
            {
                "group": "AWS",
                "name": "region",
                "subject": None,
                "outcome": "pass",
                "what": "The region is eu-central-1.",
                "to_do": None,
            },
            {
                "group": "AWS",
                "name": "clock",
                "subject": None,
                "outcome": "unknown",
                "what": "No time.",
                "to_do": "Look.",
            },
            {
                "group": "Airflow",
                "name": "component",
                "subject": "triggerer",
                "outcome": "fail",
                "what": "No triggerer.",
                "to_do": "Start it.",
            },
        ],
        "counts": {"pass": 1, "fail": 1, "unknown": 1},
        "left_out": [{"group": "Airflow", "name": "DAG files"}, {"group": "Airflow", "name": "claims"}],
    }


# In a process of its own, with nothing.


def test_with_nothing_at_all_it_says_so_without_a_traceback(tmp_path):
    done = as_process(
        *("airflow_codepipeline_partner", "doctor", TYPE, "--client-id", "c1", "--json"),
        AIRFLOW_HOME=str(tmp_path),
        AWS_CONFIG_FILE=str(tmp_path / "none"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert {outcome for outcome, _ in findings(report, "Airflow")} == {"unknown"}
    assert len(findings(report, "Airflow")) == 1
    left_out = {each["name"] for each in report["left_out"]}
    assert left_out == {
        *("endpoint", "credentials", "clock", "action type", "permission", "known to CodePipeline"),
        *("DAG files", "who polls", "claims", "paused DAGs", "ended runs"),
    }
    assert findings(report, "AWS", "region") == [("fail", "No region is set.")]


def test_an_airflow_that_cannot_be_imported_is_said(tmp_path):
    wrong = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "planted-secret://"}
    done = as_process("airflow_codepipeline_partner", "doctor", "--json", **wrong)
    [check] = json.loads(done.stdout)["checks"]
    assert (check["outcome"], check["what"].startswith("Airflow cannot be imported: ")) == ("fail", True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "planted" not in done.stdout + done.stderr


def test_a_database_that_is_away_is_unknown(tmp_path):
    url = f"sqlite:///{tmp_path}/planted-secret/airflow.db"
    done = as_process(
        *("airflow_codepipeline_partner", "doctor", "--json"),
        AIRFLOW_HOME=str(tmp_path),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url,
    )
    report = json.loads(done.stdout)
    assert {outcome for outcome, _ in findings(report, "Airflow")} == {"unknown"}
    assert "OperationalError" in findings(report, "Airflow")[0][1]
    assert "planted" not in done.stdout


def test_help_imports_no_airflow():
    program = (
        "import sys\nfrom airflow_codepipeline_partner.cli import main\n"
        "try:\n    main(['doctor', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert {'airflow', 'boto3', 'botocore'}.isdisjoint(name.partition('.')[0] for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

# SPDX-License-Identifier: Apache-2.0
"""What docs/custom-actions.md shows works."""

from __future__ import annotations

import json
import re
import uuid

import boto3
import pytest
from declaring import APPROVAL, S3, TRUST, action, stage
from support import ACTION_TYPE, CUSTOM_TYPE

from tests.docs.pages import blocks, blocks_of, in_shell, page
from tests.docs.test_readme import DAG as RECOMMENDED

PAGE = "docs/custom-actions.md"
DECLARED, QUERYABLE = blocks_of(PAGE, "yaml")
KIND = "Deploy/Custom/Airflow/1"
ONE, BOTH, REGIONS = blocks_of(PAGE, "python")[2:5]
WHERE = {"S3Bucket": "sources-of-shop", "S3ObjectKey": "source.zip"}


@pytest.fixture
def own(emulator, aws_connection):
    """The pipeline ``own``, with a custom action."""
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE)


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == [
        *("yaml", "bash", "bash"),
        *("bash", "json", "bash"),
        "python",
        *("yaml", "python"),
        *("python", "python", "python"),
        *("bash", "python"),
    ]


def test_the_commands_do_what_they_say(emulator, tmp_path):
    commands, delete, *_ = blocks_of(PAGE, "bash")
    (tmp_path / "action-type.yaml").write_text(DECLARED)
    printed = in_shell(commands, emulator, tmp_path)
    policy = json.loads((tmp_path / "worker-policy.json").read_text())
    assert "codepipeline:PollForJobs" in str(policy)
    assert "Deploy/Airflow/1" in printed
    # A reader who copies it is asked.
    with pytest.raises(AssertionError, match="give --yes"):
        in_shell(delete, emulator, tmp_path)
    in_shell(f"{delete.strip()} --yes", emulator, tmp_path)
    calls = [entry.operation for entry in emulator.ledger if entry.kind == "call"]
    changes = [operation for operation in calls if operation != "ListActionTypes"]
    assert changes == ["CreateCustomActionType", "DeleteCustomActionType"]


def test_the_function_does_what_it_says(emulator, own, make_hook, dags_folder, load_dags):
    (dags_folder / "custom_from_docs.py").write_text(blocks_of(PAGE, "python")[0])
    emulator.start_execution("own")
    [job] = make_hook().poll(CUSTOM_TYPE)
    assert load_dags().run("deploy_with_output_variables", **job.to_xcom()).state == "success"
    [put] = emulator.ledger.terminal_results(job.job_id)
    assert put.details["outputVariables"] == {"Digest": "0f3a"}


@pytest.mark.parametrize(
    ("action_type", "pipeline", "has_variables"), [(ACTION_TYPE, "pipe", False), (CUSTOM_TYPE, "own", True)]
)
def test_the_template_gives_variables_to_custom_jobs_only(
    emulator, customer, own, dags_folder, load_dags, make_hook, action_type, pipeline, has_variables
):
    [template] = re.findall(r'`output_variables="(\{\{.*?\}\})"`', page(PAGE))
    (dags_folder / "both_owners_from_docs.py").write_text(
        f"""
from airflow.sdk import DAG, Param
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

with DAG("both_owners", schedule=None, params={{"action_type": Param({{}}, type="object")}}):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{{{ dag_run.conf.job }}}}")
    finish = finish_job(claim, output_variables={template!r})
    claim >> EmptyOperator(task_id="work") >> finish
"""
    )
    emulator.start_execution(pipeline)
    [job] = make_hook().poll(action_type)
    run = load_dags().run("both_owners", job=job.to_xcom(), action_type=action_type)
    assert run.state == "success"
    [put] = emulator.ledger.terminal_results(job.job_id)
    assert put.details.get("outputVariables") == ({"Release": run.run_id} if has_variables else None)


def create(declared, emulator, folder):
    """Create the action type of a declaration."""
    (folder / "action-type.yaml").write_text(declared)
    in_shell("python -m airflow_codepipeline_partner action-type create action-type.yaml", emulator, folder)


def names_of(code):
    """Run a block of Python, and return its names."""
    names = {}
    exec(compile(code, PAGE, "exec"), names)  # noqa: S102 - that is what it is for
    return names


def test_the_action_gets_into_a_pipeline_as_it_says(emulator, aws_connection, tmp_path, make_hook):
    _, _, get, update, _ = blocks_of(PAGE, "bash")
    [shown] = map(json.loads, blocks_of(PAGE, "json"))
    create(DECLARED, emulator, tmp_path)
    make_pipeline(emulator)
    in_shell(get, emulator, tmp_path)
    definition = json.loads((tmp_path / "shop.json").read_text())
    definition["pipeline"]["stages"][1]["actions"] = [shown]
    (tmp_path / "shop.json").write_text(json.dumps(definition))
    in_shell(update, emulator, tmp_path)
    hook = make_hook()
    [job] = hook.poll(KIND)
    claimed = hook.claim(job)
    assert (claimed.pipeline_name, claimed.action_name) == ("shop", "Airflow")
    assert hook.details(claimed).configuration == {"Target": "shop"}


def make_pipeline(emulator):
    """Make a pipeline of a source and an approval, as a reader has one."""
    session = boto3.Session("any", "any", region_name="us-east-1")
    iam, codepipeline = (session.client(name, endpoint_url=emulator.url) for name in ("iam", "codepipeline"))
    role = iam.create_role(RoleName=f"r-{uuid.uuid4().hex}", AssumeRolePolicyDocument=TRUST)["Role"]
    source = action("Source", S3, outputs=["SourceOutput"], configuration=WHERE)
    pipeline = {
        "name": "shop",
        "roleArn": role["Arn"],
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [stage("Source", source), stage("Deploy", action("Approve", APPROVAL))],
    }
    s3 = session.client("s3", endpoint_url=emulator.url)
    s3.create_bucket(Bucket=WHERE["S3Bucket"])
    s3.put_object(Bucket=WHERE["S3Bucket"], Key=WHERE["S3ObjectKey"], Body=b"a zip")
    codepipeline.create_pipeline(pipeline=pipeline)


def test_a_poll_gets_only_the_jobs_with_its_value(emulator, aws_connection, tmp_path, make_hook):
    create(QUERYABLE, emulator, tmp_path)
    [watcher] = names_of(blocks_of(PAGE, "python")[1])["team_jobs"].watchers
    _, given = watcher.trigger.serialize()
    kind, query = given["action_type"], given["query_param"]
    for team in (*query.values(), "other"):
        emulator.add_pipeline(team, action_type="Deploy/Custom/Airflow/2", configuration={"Team": team})
        emulator.start_execution(team)
    hook = make_hook()
    found = [hook.claim(job).pipeline_name for job in hook.poll(kind, query_param=query, max_batch_size=10)]
    assert found == ["shop"]


def test_one_job_is_worked_on_at_a_time(codepipeline, tmp_path):
    (tmp_path / "one.py").write_text(ONE)
    dag = codepipeline.load_dag(tmp_path / "one.py")
    jobs = [codepipeline.queue_job(KIND, pipeline_name=name) for name in ("shop", "market")]
    codepipeline.run(dag)
    jobs[0].assert_succeeded(summary="Deployed shop.")
    jobs[1].assert_not_taken()
    codepipeline.run(dag)
    jobs[1].assert_succeeded(summary="Deployed market.")
    assert dag.max_active_runs == 1


def test_a_dag_takes_the_jobs_of_two_action_types(codepipeline, tmp_path):
    (tmp_path / "both.py").write_text(BOTH)
    (tmp_path / "deploy.py").write_text(RECOMMENDED)
    deploy = codepipeline.load_dag(tmp_path / "deploy.py", "deploy")
    take = codepipeline.load_dag(tmp_path / "both.py")
    kinds = (KIND, "Test/Custom/Airflow/1")
    for kind in kinds:
        codepipeline.emulator.add_action_type(kind)
    for kind in kinds:
        job = codepipeline.queue_job(kind)
        codepipeline.run(take, started=[deploy])
        job.assert_succeeded()
    # One of them is enough to start it.
    assert type(take.timetable.asset_condition).__name__ == "AssetAny"


def test_each_region_has_dags_of_its_own(codepipeline, tmp_path):
    (tmp_path / "regions.py").write_text(REGIONS)
    for region in ("eu-central-1", "us-east-1"):
        name = region.replace("-", "_")
        take, deploy = (
            codepipeline.load_dag(tmp_path / "regions.py", f"{each}_{name}")
            for each in ("take_deploy_jobs", "deploy")
        )
        [asset] = take.timetable.asset_condition.objects
        assert asset.watchers[0].trigger.serialize()[1]["region_name"] == region
        assert {task.region_name for task in deploy.tasks} == {region}
    job = codepipeline.queue_job(KIND)
    codepipeline.run(take, started=[deploy])
    job.assert_succeeded()


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
def test_the_wake_queues_commands_do_what_they_say(emulator, tmp_path):
    printed = in_shell(blocks_of(PAGE, "bash")[-1], emulator, tmp_path)
    assert "Successfully created/updated stack - airflow-deploy-jobs" in printed
    assert "sqs:ReceiveMessage" in printed
    [watcher] = names_of(blocks_of(PAGE, "python")[-1])["deploy_jobs"].watchers
    assert watcher.trigger.serialize()[1]["wake_queue"].endswith("/started")

# SPDX-License-Identifier: Apache-2.0
"""What docs/artifacts.md shows works."""

from __future__ import annotations

import io
import zipfile

import pytest
from support import ACTION_TYPE, admin_client

from tests.docs.pages import blocks, blocks_of

PAGE = "docs/artifacts.md"


@pytest.fixture
def offer_build(emulator, customer, make_hook):
    """Offer a job whose input artifact has this content."""
    emulator.configure(upload_encryption="refuse", require_output_artifacts=True)
    emulator.add_pipeline(
        "build", client_id=customer.client_id, action_type=ACTION_TYPE, output_artifacts=["BuildOutput"]
    )

    def offer(content):
        emulator.start_execution("build", {"SourceOutput": content})
        [job] = make_hook().poll(ACTION_TYPE)
        return job.to_xcom()

    return offer


@pytest.fixture
def s3(emulator):
    """S3, as the account's administrator sees it."""
    client = admin_client(emulator, "s3")
    yield client
    client.close()


def uploaded(s3, job):
    """Return the content of the job's output artifact."""
    [artifact] = job["output_artifacts"]
    return s3.get_object(Bucket=artifact["bucket"], Key=artifact["key"])["Body"].read()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == ["python", "python"]


def test_the_task_does_what_it_says(offer_build, make_hook, s3):
    [code] = [block for block in blocks_of(PAGE, "python") if "@task" in block]
    job = make_hook().claim(offer_build(zipped({"a": "x"}))).to_xcom()
    namespace = {}
    exec(compile(code, PAGE, "exec"), namespace)  # noqa: S102 - that is what it is for
    namespace["build"].function(job)
    with zipfile.ZipFile(io.BytesIO(uploaded(s3, job))) as archive:
        assert archive.read("report.txt") == b"1 files"


def test_the_dag_does_what_it_says(offer_build, s3, dags_folder, load_dags):
    [code] = [block for block in blocks_of(PAGE, "python") if "with DAG" in block]
    (dags_folder / "artifacts_from_docs.py").write_text(code)
    s3.create_bucket(Bucket="my-bucket")
    run = load_dags().run("build_on_other_machines", **offer_build(b"content"))
    assert run.state == "success"
    assert uploaded(s3, run.xcoms["claim", "return_value"]) == b"content"

# SPDX-License-Identifier: Apache-2.0
"""Let jobs succeed and fail with known secrets, and verify that Airflow stored none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_codepipeline_partner.emulator import JobSnapshot
from demo.job_story import Customer, JobStory
from demo.rest_api import AirflowFailed
from demo.secret_search import Hit, search
from demo.story import Story


class SecretCheck:
    """
    Note the secrets of a story, also those that the emulator hands out, and search for them.

    :param story: The story, before its first job.
    """

    def __init__(self, story: Story) -> None:
        self.story = story
        self._note_what_is_handed_out()

    def search(self, home: Path) -> list[Hit]:
        """
        Search all that Airflow wrote, once it has ended.

        :raises AirflowFailed: The search does not even find the job ids, so it proves nothing.
        """
        known = {hit.place for hit in search(home, {"job id": self.story.job_ids})}
        in_tables = sum(", table " in place for place in known)
        in_logs = sum(place.endswith(".log") for place in known)
        if not (in_tables and in_logs):
            raise AirflowFailed(
                f"The search is broken: it finds the job ids in {in_logs} logs and {in_tables} columns."
            )
        values = sum(len(values) for values in self.story.secrets.values())
        self.story.say(
            f"searched {sum(path.is_file() for path in home.rglob('*'))} files and the database's tables for "
            f"{values} secrets: {', '.join(sorted(self.story.secrets))} "
            f"(the job ids are in {in_logs} logs and {in_tables} columns, as they should be)"
        )
        return search(home, self.story.secrets)

    def _note_what_is_handed_out(self) -> None:
        store = self.story.emulator.state.credentials
        issue = store.issue

        def issue_and_note(job: Any, expires_at: float) -> Any:
            credentials = issue(job, expires_at)
            if job.client_id is not None:
                # A custom job's nonce comes with its offer, and is stored with it.
                self.story.secrets["nonce"].add(job.nonce)
            self.story.secrets["artifact access key id"].add(credentials.access_key_id)
            self.story.secrets["artifact secret key"].add(credentials.secret_access_key)
            self.story.secrets["artifact session token"].add(credentials.session_token)
            return credentials

        store.issue = issue_and_note  # type: ignore[method-assign]


def let_jobs_fail(story: JobStory) -> None:
    """
    Run jobs that take the error paths.

    One job has a wrong client token, if its action has tokens. The acknowledgement of another and the result
    of a third are refused with a message that quotes the request's secrets, as a service may do.
    """
    refused, unheard = Customer("refused-claim"), Customer("refused-result")
    customers = [refused, unheard]
    acknowledge, put = "AcknowledgeJob", "PutJobSuccessResult"
    if not story.way.is_custom:
        customers.append(Customer("wrong-token", known_token=Customer("").client_token))
        acknowledge, put = "AcknowledgeThirdPartyJob", "PutThirdPartyJobSuccessResult"
    for customer in customers:
        story.add_pipeline(customer)
    jobs = {}
    with story.emulator.state.lock:  # no poll before the faults are set
        for customer in customers:
            jobs[customer.pipeline_name] = story.start_pipeline(customer)
        _refuse(story, refused, jobs["refused-claim"], acknowledge)
        _refuse(story, unheard, jobs["refused-result"], put)
    for name, job in jobs.items():
        run = story.wait_for_run(job)
        states = {task["task_id"]: task["state"] for task in story.tasks(run)}
        story.say(f"DAG run for {name}: {', '.join(f'{task} {state}' for task, state in states.items())}")
        if "failed" not in states.values():
            raise AirflowFailed(f"No task of the DAG run for {name} failed, as one was to.")
    # The DAG's callback is an error path too.
    story.wait_for_end(jobs["refused-result"])


def _refuse(story: JobStory, customer: Customer, job: JobSnapshot, operation: str) -> None:
    # A custom job's nonce is no secret, and its calls carry no other.
    quoted = "" if story.way.is_custom else f"clientToken {customer.client_token}"
    if operation.startswith("Acknowledge"):
        quoted += f", nonce {story.emulator.state.jobs[job.job_id].nonce}"
    story.emulator.inject(
        "error",
        operation,
        job_id=job.job_id,
        code="ValidationException",
        message=f"This request is not valid: {quoted}",
    )

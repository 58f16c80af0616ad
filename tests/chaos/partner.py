# SPDX-License-Identifier: Apache-2.0
"""The partner's customers: their pipelines in CodePipeline, and their tokens in Airflow's connections."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow
from tests.chaos.kinds import KINDS
from tests.chaos.plan import CUSTOMERS, PlannedJob

_ENDED = {"TimedOut", "Succeeded", "Failed", "Withdrawn"}


class Partner:
    """
    Onboard customers, start their pipelines, give them new tokens.

    :param emulator: CodePipeline.
    :param airflow: Where the tokens are kept.
    """

    def __init__(self, emulator: Emulator, airflow: LocalAirflow) -> None:
        self._emulator = emulator
        self._airflow = airflow
        self._client_ids: list[str] = []
        self._tokens: dict[str, str] = {}
        self._ended: set[str] = set()
        for kind in KINDS.values():
            emulator.add_action_type(kind.action_type)

    def add_customers(self) -> None:
        """Add all customers, each with a connection."""
        for _ in range(CUSTOMERS):
            customer = self._emulator.add_customer()
            self._client_ids.append(customer.client_id)
            self._tokens[customer.client_id] = customer.client_token
        self.introduce(self._airflow)

    def introduce(self, airflow: LocalAirflow) -> None:
        """Have an Airflow know all customers, with their newest tokens."""
        for client_id, client_token in self._tokens.items():
            airflow.api.call("POST", "/connections", self._connection(client_id, client_token))

    def token_of(self, client_id: str) -> str:
        """Return the newest token of a client."""
        return self._tokens[client_id]

    def rotate_token(self, customer: int) -> None:
        """Give a customer a new token, which Airflow does not know yet."""
        client_id = self._client_ids[customer]
        self._tokens[client_id] = self._emulator.rotate_token(client_id).client_token

    def store_token(self, customer: int) -> None:
        """Have Airflow know a customer's newest token."""
        client_id = self._client_ids[customer]
        body = self._connection(client_id, self._tokens[client_id])
        self._airflow.api.call("PATCH", f"/connections/{body['connection_id']}?update_mask=password", body)

    def start(self, job: PlannedJob) -> None:
        """Start the pipeline of a job."""
        kind = KINDS[job.kind]
        self._emulator.add_pipeline(
            job.name,
            client_id=None if kind.owner == "Custom" else self._client_ids[job.customer],
            action_type=kind.action_type,
            input_artifacts=(),
        )
        self._emulator.start_execution(job.name)

    def ended(self, jobs: Iterable[PlannedJob]) -> set[str]:
        """Return the pipelines of these jobs whose action has ended."""
        newest = {found.pipeline_name: found for found in self._emulator.jobs()}
        goes_on = {put.job_id for put in self._emulator.ledger.where(result="continue")}
        # What has ended is forgotten after a while.
        self._ended |= {
            name
            for name, found in newest.items()
            # The further job of an action that goes on comes later.
            if found.status in _ENDED and found.job_id not in goes_on
        }
        return self._ended & {job.name for job in jobs}

    def open_jobs(self) -> list[str]:
        """Return the jobs that have not ended, for people."""
        return [
            f"{job.pipeline_name}: job {job.job_id} is {job.status}, was handed out {job.hand_outs} times"
            for job in self._emulator.jobs()
            if job.status not in _ENDED
        ]

    @staticmethod
    def _connection(client_id: str, client_token: str) -> dict[str, str]:
        return {
            "connection_id": f"codepipeline_client_{client_id.replace('-', '_')}",
            "conn_type": "codepipeline_partner_client",
            "login": client_id,
            "password": client_token,
        }

# SPDX-License-Identifier: Apache-2.0
"""What users do in Airflow and in CodePipeline, and a rival who claims jobs, in a history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from simulation.events import Call
from simulation.simulate import CLIENT_TOKEN
from simulation.small_airflow import Run

if TYPE_CHECKING:
    from simulation.history import History

#: The tasks that a user may mark as a success: those that go on with the action. The work goes on.
GOING_ON = ("go_on", "go_on_again", "watch", "beside")
LIVING = ("running", "deferred", "up_for_retry")
#: How likely a process hangs that a user has ended.
CHANCE_OF_A_HANG = 0.5


class Outsiders:
    """
    Users, and a rival.

    :param history: The history in which they act.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        never = ("nothing",) if history.way.has_notifier else ("nothing", "time out")
        #: What users still do.
        self.to_do = [each for each in (history.plan.user, history.plan.then) if each not in never]
        #: Job that the rival tried to claim → whether it has the job and is still to end it.
        self._rivals: dict[str, bool] = {}

    def moves(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what users and other workers may do. It never happens by default."""
        if self._history.plan.rival:
            for job in list(self._history.codepipeline.state.jobs.values()):
                if job.job_id not in self._rivals and job.status.value in ("Created", "Queued", "Dispatched"):
                    yield "the rival claims", lambda job=job: self._rival_claims(job)
        for job_id, ends in list(self._rivals.items()):
            if ends:
                yield "the rival ends", lambda job_id=job_id: self._rival_ends(job_id)
        for run in self._history.server.runs.values():
            yield from self.of_user(run)

    def of_user(self, run: Run) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what a user may do next to a run, or to its pipeline."""
        if not self.to_do:
            return
        kind = self.to_do[0]
        if kind == "mark failed" and run.state == "running":
            yield kind, lambda: self.does(kind, lambda: self._history.server.mark_failed(run))
        elif kind == "mark run success" and run.state == "running":
            what = "marks the run as a success"
            yield what, lambda: self.does(what, lambda: self._history.server.mark_success(run))
        elif kind == "time out" and run.state == "running" and self._history.way.has_notifier:
            yield kind, lambda: self.does(kind, lambda: self._time_out(run))
        elif kind.startswith("clear"):
            is_alone = kind == "clear alone"
            for instance in list(run.instances.values()):
                is_claim = instance.task.task_id.split(".")[-1] in ("claim", "function")
                if instance.state is not None and (is_alone or is_claim == (kind == "clear claim")):
                    what = f"clears {instance.name}{' alone' if is_alone else ''}"
                    yield (
                        what,
                        lambda instance=instance, what=what: self.does(
                            what, lambda: self._history.server.clear(instance, alone=is_alone)
                        ),
                    )
        elif kind == "mark success" and run.state == "running":
            for instance in list(run.instances.values()):
                if instance.name in GOING_ON and instance.state in LIVING:
                    what = f"marks {instance.name} as a success"
                    yield (
                        what,
                        lambda instance=instance, what=what: self.does(
                            what, lambda: setattr(instance, "state", "success")
                        ),
                    )
        elif kind == "abandon":
            for name in list(self._history.codepipeline.state.pipelines):
                yield kind, lambda name=name: self.does(kind, lambda: self._abandon(name))

    def does(self, what: str, how: Callable[[], None]) -> None:
        """Have a user do something."""
        self._history.users_actions.append(self.to_do.pop(0))
        self._history.misfortunes.append(f"user: {what}")
        self._history.tell(f"** the user: {what} **")
        before = {
            id(process): process.instance.state for process in self._history.processes if process.instance
        }
        how()
        for process in self._history.processes:
            instance = process.instance
            if instance is None or instance.state == before.get(id(process)):
                continue
            self._history.outdated[process.name] = self._history.now
            if all(process is not gone for _, gone in self._history.ends_of_dead):
                # Its supervisor sees this at the next heartbeat, and ends it.
                self._history.ends_of_dead.append((self._history.now + 5, process))
                if self._history.decisions.choose(
                    f"{process.name} hangs at turn {self._history.turn}", [False, True], CHANCE_OF_A_HANG
                ):
                    self._history.hang(process)

    def _abandon(self, name: str) -> None:
        controls = self._history.codepipeline.controls
        executions = self._history.codepipeline.state.executions[name]
        execution_id = next(reversed(executions))
        try:
            controls.executions_api.answer(
                "StopPipelineExecution",
                {"pipelineName": name, "pipelineExecutionId": execution_id, "abandon": True},
                "us-east-1",
            )
        except Exception as error:
            self._history.tell(f"nothing to abandon: {error}")

    def _time_out(self, run: Run) -> None:
        self._history.server.time_out(run)
        self._history.call_back(run)

    def _rival_claims(self, job: Any) -> None:
        """Have another worker claim a job, as AWS's documentation says."""
        third = self._history.way.owner == "ThirdParty"
        request = {"jobId": job.job_id, "nonce": job.nonce}
        if third:
            request["clientToken"] = CLIENT_TOKEN
        operation = "AcknowledgeThirdPartyJob" if third else "AcknowledgeJob"
        status, outcome = None, "ok"
        try:
            status = self._history.codepipeline.answer(operation, request).get("status")
        except Exception as error:
            outcome = str(error)
        self._rivals[job.job_id] = status == "InProgress"
        self._history.tell(f"the rival claims job {job.job_id[:4]}: {status or outcome}")
        self._history.calls.append(
            Call("rival", None, operation, job.job_id, True, True, outcome, {}, status, at=self._history.now)
        )

    def _rival_ends(self, job_id: str) -> None:
        third = self._history.way.owner == "ThirdParty"
        request: dict[str, Any] = {"jobId": job_id, "executionDetails": {"externalExecutionId": "rival"}}
        if third:
            request["clientToken"] = CLIENT_TOKEN
        operation = "PutThirdPartyJobSuccessResult" if third else "PutJobSuccessResult"
        outcome = "ok"
        try:
            self._history.codepipeline.answer(operation, request)
        except Exception as error:
            outcome = str(error)
        self._rivals[job_id] = False
        self._history.tell(f"the rival ends job {job_id[:4]}: {outcome}")
        self._history.calls.append(
            Call("rival", None, operation, job_id, True, True, outcome, request, at=self._history.now)
        )

# SPDX-License-Identifier: Apache-2.0
"""What is simulated: the jobs, CodePipeline, and the Airflow that works on them."""

from __future__ import annotations

from dataclasses import dataclass

#: Shape → whether each job has a run of its own, and the tasks of a job with their priorities.
#:
#: The priorities are those of docs/parameters.md: ``finish_job`` has its own weight and those of the tasks
#: before it (``operators/finish.py``), a claim its own (``_claiming_operator.py``), work Airflow's default.
SHAPES: dict[str, tuple[bool, dict[str, int]]] = {
    # example_claim_work_finish, started by example_jobs_as_asset_events
    "run": (True, {"claim": 1, "work": 2, "finish": 3}),
    # example_work_as_function: finish_job only looks whether the function has reported
    "function": (True, {"function": 1, "check": 2}),
    # the same without finish_job; the DAG's callback reports what the function cannot
    "function-alone": (True, {"function": 1}),
    # example_many_jobs_in_one_run, as a mapped task group
    "group": (False, {"claim": 1, "work": 2, "finish": 3}),
    # a mapped @task.codepipeline_job
    "mapped-function": (False, {"function": 1}),
}


@dataclass(frozen=True)
class Settings:
    """
    One installation and its jobs. The defaults are Airflow's and the package's; 0 is "no limit" where said.

    :param seed: Of all that is drawn.
    :param jobs_per_hour: The mean rate at which jobs are queued, each on its own (Poisson).
    :param hours: For how long jobs are queued; then the last ones are worked off.
    :param burst: Jobs that are queued at the very beginning, all at once, besides the others.
    :param owner: ``Custom`` or ``ThirdParty``. A custom job's nonce is valid until its next offer
        (``emulator/settings.py``, ``nonce_on_redelivery``); a partner's comes with the details.
    :param work_seconds: The mean time of the work itself; half of it to twice as much for most jobs.
    :param slow_share: The share of jobs of one slow customer, from 0 to 1.
    :param slow_seconds: The mean time of that customer's work.
    :param lease: Seconds until a job that was offered and not claimed is offered again. AWS does not say;
        60 in the emulator.
    :param action_timeout: Seconds from queued until the job must have its result.
    :param calls_per_second: How many calls CodePipeline takes; 0 for any. AWS does not say.
    :param call_burst: How many calls it takes at once beyond that.
    :param call_seconds: How long a call takes.
    :param poll_interval: Seconds between two polls; of ``codepipeline_jobs`` or the sensor.
    :param max_batch_size: Most jobs of a poll.
    :param intake: ``asset``: a watcher polls all the time. ``sensor``: a run on a schedule polls for one
        batch, and works on it; only with a shape that has one run for many jobs.
    :param sensor_schedule: Seconds between two such runs.
    :param away_from: When the triggerer that polls dies, in seconds.
    :param away: For how many seconds nobody polls then.
    :param shape: One of :data:`SHAPES`.
    :param priorities: ``ours``, or ``airflow`` for Airflow's default rule on every task, which is that a
        task's priority holds the weights of those after it.
    :param max_active_runs: Of the DAG that works on jobs.
    :param max_active_tasks: Of each run.
    :param claim_pool: Slots of a pool for tasks that claim; 0 for none.
    :param slow_pool: Slots of a pool for the slow customer's work; 0 for none.
    :param schedulers: How many there are.
    :param parallelism: Most tasks that are queued or running, for each scheduler.
    :param slots: Places for tasks on all workers: with Celery, workers × ``worker_concurrency``.
    :param cores: Processors of all workers.
    :param task_cpu: Seconds of a processor that a task costs besides its own work: mostly its start. Measured
        by ``task_cost.py``.
    :param pod_seconds: Seconds until a task's own pod runs, with the KubernetesExecutor.
    :param scheduler_seconds: Seconds of a scheduler for each task that it starts. Measured likewise.
    :param loop_seconds: Seconds of one round of a scheduler.
    :param runs_per_loop: ``[scheduler] max_dagruns_per_loop_to_schedule``.
    """

    seed: int = 1
    jobs_per_hour: float = 1000
    hours: float = 1
    burst: int = 0
    owner: str = "Custom"
    work_seconds: float = 60
    slow_share: float = 0
    slow_seconds: float = 1800
    lease: float = 60
    action_timeout: float = 3600
    calls_per_second: float = 0
    call_burst: float = 10
    call_seconds: float = 0.1
    poll_interval: float = 30
    max_batch_size: int = 10
    intake: str = "asset"
    sensor_schedule: float = 60
    away_from: float = 0
    away: float = 0
    shape: str = "run"
    priorities: str = "ours"
    max_active_runs: int = 16
    max_active_tasks: int = 16
    claim_pool: int = 0
    slow_pool: int = 0
    schedulers: int = 1
    parallelism: int = 32
    slots: int = 32
    cores: int = 4
    task_cpu: float = 0.35
    pod_seconds: float = 0
    scheduler_seconds: float = 0.15
    loop_seconds: float = 1
    runs_per_loop: int = 20

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if self.shape not in SHAPES:
            raise ValueError(f"There is no shape {self.shape!r}; there are {', '.join(SHAPES)}.")
        if self.intake == "sensor" and self.has_run_for_each_job:
            raise ValueError("A sensor is simulated in one run with its jobs only.")
        for name, value, most in (
            ("owner", self.owner, ("Custom", "ThirdParty")),
            ("intake", self.intake, ("asset", "sensor")),
            ("priorities", self.priorities, ("ours", "airflow")),
        ):
            if value not in most:
                raise ValueError(f"{name} is one of {', '.join(most)}, not {value!r}.")
        for name in ("max_batch_size", "max_active_runs", "max_active_tasks", "slots", "cores", "schedulers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 at least.")

    @property
    def has_run_for_each_job(self) -> bool:
        """Whether each job has a run of its own."""
        return SHAPES[self.shape][0]

    @property
    def tasks(self) -> dict[str, int]:
        """The tasks of a job in their order, and their priorities."""
        tasks = SHAPES[self.shape][1]
        if self.priorities == "ours":
            return tasks
        return {name: len(tasks) - place for place, name in enumerate(tasks)}

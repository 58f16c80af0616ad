# SPDX-License-Identifier: Apache-2.0
"""Run the commands on pipelines. They make no AWS call."""

from __future__ import annotations

from argparse import Namespace
from typing import TextIO

from airflow_codepipeline_partner._command_runs import DONE, print_json, run_command
from airflow_codepipeline_partner.action_types import yaml_file
from airflow_codepipeline_partner.pipelines.policies import DEFAULT_PURPOSES, pipeline_policy
from airflow_codepipeline_partner.pipelines.wake_queue_template import pipeline_wake_queue_template


def run(name: str, parsed: Namespace) -> int:
    """
    Run a command.

    :param name: Its name.
    :param parsed: Its arguments.
    :return: The exit code: 0 if it succeeded, 2 for an invalid command line.
    """
    return run_command({"policy": _policy, "wake-queue": _wake_queue}[name], parsed)


def _policy(parsed: Namespace, output: TextIO) -> int:
    policy = pipeline_policy(
        parsed.pipeline,
        parsed.purposes or DEFAULT_PURPOSES,
        stage_name=parsed.stage,
        action_name=parsed.action,
        account_id=parsed.account_id,
        region=parsed.region,
        partition=parsed.partition,
        wake_queue_arn=parsed.wake_queue,
    )
    print_json(policy, output)
    return DONE


def _wake_queue(parsed: Namespace, output: TextIO) -> int:
    print(yaml_file.dump(pipeline_wake_queue_template(parsed.pipeline)), end="", file=output)
    return DONE

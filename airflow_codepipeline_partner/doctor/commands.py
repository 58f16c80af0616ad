# SPDX-License-Identifier: Apache-2.0
"""Run the command ``doctor``. It also runs where Airflow cannot be imported, and says so."""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import TextIO

from airflow_codepipeline_partner._command_runs import DONE, REFUSED, print_json, run_command
from airflow_codepipeline_partner.doctor.examination import Examination
from airflow_codepipeline_partner.doctor.findings import Check, failed
from airflow_codepipeline_partner.doctor.report import print_report, to_json


def run(parsed: Namespace) -> int:
    """
    Run the command.

    :param parsed: Its arguments.
    :return: The exit code: 0 if no check fails, 1 if one fails, or, with ``--strict``, is unknown, 2 for an
        invalid command line or declaration.
    """
    return run_command(_doctor, parsed)


def _doctor(parsed: Namespace, output: TextIO) -> int:
    # What libraries log on the way is found again in what the checks say.
    logging.disable(logging.WARNING)
    try:
        return _report(parsed, output)
    finally:
        logging.disable(logging.NOTSET)


def _report(parsed: Namespace, output: TextIO) -> int:
    examination = Examination(_checks(parsed))
    if parsed.json:
        found = list(examination.lines())
        print_json(to_json(found, examination.left_out), output)
    else:
        found = print_report(examination.lines(), examination.left_out, output)
    bad = ("fail", "unknown") if parsed.strict else ("fail",)
    return REFUSED if any(each.finding.outcome in bad for each in found) else DONE


def _checks(parsed: Namespace) -> list[Check]:
    try:
        from airflow_codepipeline_partner.doctor.checks import checks_for
    except Exception as error:
        # Its text may quote Airflow's configuration, which may hold a password.
        missing = f" {error.name}" if isinstance(error, ImportError) and error.name else ""
        found = failed(
            f"Airflow cannot be imported: {type(error).__name__}{missing}.",
            "Run airflow version, which fails in the same way and says more; check Airflow's configuration.",
        )
        return [Check("Airflow", "import", lambda: found, 1)]
    return checks_for(parsed)

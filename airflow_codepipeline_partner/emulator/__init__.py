# SPDX-License-Identifier: Apache-2.0
"""
An emulator of CodePipeline's job protocol, for partner and custom actions.

moto's S3, STS, KMS and other services answer on the same port.

It needs neither Airflow nor the client in this package, but the extra ``local``. In a checkout:
``pip install '.[local]'``.
"""

from __future__ import annotations

from airflow_codepipeline_partner.emulator.clock import Clock
from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.ledger import Ledger, LedgerEntry
from airflow_codepipeline_partner.emulator.model.customers import Customer
from airflow_codepipeline_partner.emulator.model.jobs import JobSnapshot

try:
    from airflow_codepipeline_partner.emulator.server import Emulator
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"The emulator needs {missing.name}, which comes with the extra local. In a checkout of the package: "
        "pip install '.[local]'",
        name=missing.name,
    ) from None
from airflow_codepipeline_partner.emulator.settings import Settings

__all__ = [
    "Clock",
    "ControlError",
    "Customer",
    "Emulator",
    "JobSnapshot",
    "Ledger",
    "LedgerEntry",
    "Settings",
]

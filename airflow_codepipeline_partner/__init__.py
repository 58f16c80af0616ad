# SPDX-License-Identifier: Apache-2.0
"""
An Apache Airflow provider that makes Airflow an AWS CodePipeline job worker.

For DAGs: ``sensors``, ``operators``, ``assets``, ``notifications``, and ``hooks`` for your own code; the
values are in ``jobs``, the errors in ``exceptions``. For tests: ``emulator``.
"""

__version__ = "0.1.0"

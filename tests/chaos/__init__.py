# SPDX-License-Identifier: Apache-2.0
"""The chaos suite: a real Airflow on Celery is hurt at random, and no job may be lost or ended twice."""

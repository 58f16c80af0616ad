# SPDX-License-Identifier: Apache-2.0
"""What Airflow reads at the start of each component, before a Celery worker forks a process for a task."""

# So a worker reads them once, and not anew for each task.
import airflow_codepipeline_partner.hooks  # noqa: F401

# SPDX-License-Identifier: Apache-2.0
"""An Apache Airflow provider that makes Airflow an AWS CodePipeline job worker."""

__version__ = "0.1.0"

# SPDX-License-Identifier: Apache-2.0
"""What is said to CodePipeline and what its answers mean: no I/O, no Airflow."""

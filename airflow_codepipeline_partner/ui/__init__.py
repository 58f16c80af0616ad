# SPDX-License-Identifier: Apache-2.0
"""The page "CodePipeline jobs" in Airflow's own UI. It only reads."""

# SPDX-License-Identifier: Apache-2.0
"""Try it: the emulator and a real Airflow on this machine, and one job from the queue to its result."""

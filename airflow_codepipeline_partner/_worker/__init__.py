# SPDX-License-Identifier: Apache-2.0
"""What a DAG run knows of its job, and what it does about it."""

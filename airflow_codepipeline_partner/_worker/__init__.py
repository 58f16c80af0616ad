# SPDX-License-Identifier: Apache-2.0
"""The worker: how a DAG run claims a job, records it, continues it and reports its result."""

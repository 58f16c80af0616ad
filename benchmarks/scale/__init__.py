# SPDX-License-Identifier: Apache-2.0
"""What the package means at scale: a simulation of jobs, polls, tasks and their limits."""

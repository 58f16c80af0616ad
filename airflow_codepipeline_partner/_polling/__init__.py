# SPDX-License-Identifier: Apache-2.0
"""One poll in each triggerer for all who wait for the same jobs."""

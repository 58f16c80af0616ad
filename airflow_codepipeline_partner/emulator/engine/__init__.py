# SPDX-License-Identifier: Apache-2.0
"""How pipelines run and jobs move."""

# SPDX-License-Identifier: Apache-2.0
"""What tests share besides fixtures."""

from __future__ import annotations

#: The action type of the pipeline ``pipe``, and the default of the example DAGs.
ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}

# SPDX-License-Identifier: Apache-2.0
"""``python -m airflow_codepipeline_partner``."""

from __future__ import annotations

import sys

from airflow_codepipeline_partner.cli import main

if __name__ == "__main__":
    sys.exit(main())

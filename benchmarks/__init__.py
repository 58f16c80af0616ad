# SPDX-License-Identifier: Apache-2.0
"""What the package costs, each cost beside that of something known; README.md says what is measured."""

# SPDX-License-Identifier: Apache-2.0
"""Archives that nobody would make, and what must hold of each of them."""

# SPDX-License-Identifier: Apache-2.0
"""The emulator on the wire."""

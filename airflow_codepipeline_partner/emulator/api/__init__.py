# SPDX-License-Identifier: Apache-2.0
"""The AWS operations that the emulator answers."""

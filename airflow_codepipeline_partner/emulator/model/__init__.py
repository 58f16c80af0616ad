# SPDX-License-Identifier: Apache-2.0
"""What the emulator knows: values and their rules."""

# SPDX-License-Identifier: Apache-2.0
"""What has to hold before a release: the archives that are uploaded, and a worker that only has the wheel."""

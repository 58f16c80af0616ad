# SPDX-License-Identifier: Apache-2.0
"""What an error of botocore says: its code, its status, and whether it may pass by itself."""

from __future__ import annotations

from botocore.retries.standard import ThrottledRetryableChecker

from airflow_codepipeline_partner import _aws_errors


def test_all_that_botocore_takes_for_throttling_of_this_service_is_throttling():
    of_other_services = {
        "EC2ThrottledException",
        "ProvisionedThroughputExceededException",  # DynamoDB, Kinesis
        "TransactionInProgressException",  # DynamoDB
    }
    assert (
        set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - of_other_services
        <= _aws_errors.TRANSIENT_ERROR_CODES
    )

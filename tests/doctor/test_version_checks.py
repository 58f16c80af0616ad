# SPDX-License-Identifier: Apache-2.0
"""The checks of versions."""

from __future__ import annotations

import copy
from importlib import metadata

import pytest
from botocore.loaders import Loader

from airflow_codepipeline_partner.doctor import version_checks
from airflow_codepipeline_partner.doctor.findings import CannotCheck, Outcome

PASS, FAIL, UNKNOWN = Outcome
FINE = {"apache-airflow": "3.3.2", "apache-airflow-providers-amazon": "9.39.0", "boto3": "1.44.5"}


def test_what_is_installed_passes():
    assert {each.outcome for each in version_checks.check_versions()} == {PASS}
    assert version_checks.check_service_model().outcome is PASS


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"apache-airflow": "3.0.6"}, FAIL),
        ({"apache-airflow": "3.1.0"}, PASS),
        ({"apache-airflow": "3.3.9"}, PASS),
        ({"apache-airflow": "3.4.0"}, UNKNOWN),
        ({"apache-airflow-providers-amazon": "9.4.0"}, FAIL),
        ({"boto3": "1.36.9"}, FAIL),
        ({"boto3": None}, UNKNOWN),
    ],
    ids=str,
)
def test_a_version_out_of_the_range_is_said(changed, outcome):
    found = {each.subject: each for each in version_checks.check_versions({**FINE, **changed})}
    [name] = changed
    assert found.pop(name).outcome is outcome
    assert {each.outcome for each in found.values()} == {PASS}


def test_without_metadata_it_is_unknown(monkeypatch):
    def gone(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", gone)
    with pytest.raises(CannotCheck, match="not installed as a package"):
        list(version_checks.check_versions())


def test_an_old_model_of_codepipeline_fails_with_what_it_lacks():
    model = copy.deepcopy(Loader().load_service_model("codepipeline", "service-2"))
    del model["operations"]["RollbackStage"]
    del model["shapes"]["PutJobSuccessResultInput"]["members"]["outputVariables"]
    found = version_checks.check_service_model(model)
    assert found.outcome is FAIL
    assert found.what == "boto3 does not know RollbackStage, PutJobSuccessResult.outputVariables."
    assert version_checks.missing_calls({})

# SPDX-License-Identifier: Apache-2.0
"""Whatever Airflow has stored of a trigger, the triggerer makes it, or fails this trigger alone."""

from __future__ import annotations

import inspect
import json
from contextlib import suppress

import pytest

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._trigger_arguments import decoded
from airflow_codepipeline_partner.exceptions import InvalidInput

ACTION_TYPE = {"category": "Build", "owner": "Custom", "provider": "Airflow", "version": "1"}
CONFIG = {"retries": {"max_attempts": 3}, "connect_timeout": 2}
#: Class → arguments that fit.
FITTING = {
    "CodePipelineJobTrigger": {"action_type": ACTION_TYPE, "query_param": {"Team": "a"}},
    "CodePipelineContinuationTrigger": {
        "action_type": ACTION_TYPE,
        "client_id": None,
        "continuation_token": "token",
        "timeout_deadline": 7.0,
    },
    "CodePipelineExecutionTrigger": {"pipeline_name": "shop", "execution_id": "id"},
    "CodePipelineEventTrigger": {"pipeline_name": "shop"},
}
ODD = [None, 7, -1, "", "text", [], {}, {"x": 1}, {"Encoding.TYPE": "dict"}, float("nan"), object(), b"x"]


def made(name, **changed):
    return getattr(triggers, name)(**FITTING[name] | {"botocore_config": CONFIG} | changed)


@pytest.fixture
def stored(airflow_database):
    """Return a function: what Airflow stores of an asset's trigger, and what its triggerer makes of that."""
    from airflow.dag_processing.collection import AssetModelOperation
    from airflow.models.trigger import Trigger
    from airflow.sdk import DAG, Asset, AssetWatcher

    try:
        from airflow.serialization.decoders import smart_decode_trigger_kwargs
        from airflow.serialization.encoders import encode_trigger
        from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
    except ImportError:
        from airflow.serialization.serialized_objects import LazyDeserializedDAG, smart_decode_trigger_kwargs
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
        from airflow.serialization.serialized_objects import _encode_trigger as encode_trigger

    def store(trigger, through_json=False):
        asset = Asset("jobs", watchers=[AssetWatcher(name="jobs", trigger=trigger)])
        data = DagSerialization.to_dict(DAG("takes_jobs", schedule=[asset]))
        dag = LazyDeserializedDAG(data=json.loads(json.dumps(data)) if through_json else data)
        [found] = AssetModelOperation.collect({"takes_jobs": dag}).assets.values()
        encoded = encode_trigger(found.watchers[0].trigger)
        stored = Trigger("a.Trigger", encoded["kwargs"]).kwargs
        return stored, {name: smart_decode_trigger_kwargs(value) for name, value in stored.items()}

    return store


@pytest.mark.parametrize("through_json", [True, False], ids=["the DAG processor", "airflow dags reserialize"])
@pytest.mark.parametrize("name", ["CodePipelineJobTrigger", "CodePipelineEventTrigger"])
def test_what_airflow_stores_makes_the_same_trigger(stored, name, through_json):
    given = made(name)
    in_table, for_triggerer = stored(given, through_json)
    assert type(given)(**for_triggerer).serialize() == given.serialize()
    # What the page reads of it.
    if "action_type" in in_table:
        assert decoded(in_table["action_type"]) == ACTION_TYPE


def test_mappings_that_are_encoded_twice_are_decoded():
    def twice(value):
        if not isinstance(value, dict):
            return value
        return {"Encoding.VAR": {name: twice(held) for name, held in value.items()}, "Encoding.TYPE": "dict"}

    for name in FITTING:
        _, arguments = made(name).serialize()
        stored = {each: twice(value) for each, value in arguments.items()}
        assert getattr(triggers, name)(**stored).serialize() == made(name).serialize()


def parameters():
    for name in FITTING:
        own = inspect.signature(getattr(triggers, name)).parameters
        shared = inspect.signature(triggers.CodePipelineJobTrigger).parameters if "parameters" in own else {}
        for parameter in sorted((own | shared).keys() - {"parameters"}):
            yield pytest.param(name, parameter, id=f"{name}-{parameter}")


@pytest.mark.parametrize(("name", "parameter"), [*parameters()])
def test_no_argument_raises_what_ends_a_triggerer(name, parameter):
    for odd in ODD:
        # For a TypeError Airflow fails the trigger alone.
        with suppress(TypeError):
            made(name, **{parameter: odd})


def test_the_author_of_a_dag_sees_what_is_wrong():
    with pytest.raises(InvalidInput, match="category/owner/provider/version") as caught:
        made("CodePipelineJobTrigger", action_type="Build")
    assert isinstance(caught.value, TypeError)


def test_every_trigger_is_looked_at_here():
    assert set(triggers.__all__) == set(FITTING)
    assert set(vars(AwsParameters())) <= set(inspect.signature(triggers.CodePipelineJobTrigger).parameters)

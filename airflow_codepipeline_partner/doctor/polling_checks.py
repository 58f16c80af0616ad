# SPDX-License-Identifier: Apache-2.0
"""The check that a DAG polls for jobs, and that neither it nor the DAG that works on them is paused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase
from airflow_codepipeline_partner.doctor.findings import Finding, failed, passed, unknown
from airflow_codepipeline_partner.doctor.report import named
from airflow_codepipeline_partner.doctor.stored_dags import unended_claims
from airflow_codepipeline_partner.doctor.stored_polls import StoredPolls

_LOOK = "Look at the action type in the DAG, or at the page CodePipeline jobs in Airflow."


def check_polls(database: AirflowDatabase, wanted: ActionType | None) -> Iterator[Finding]:
    """
    Check that DAGs poll for jobs, and are not paused.

    :param database: Airflow's database.
    :param wanted: The action type; None for all that DAGs poll for.
    """
    dags = database.serialized_dags()
    known = {dag_id: dag for dag_id, dag in dags.items() if dag is not None}
    polls = _Polls({dag_id: StoredPolls.of(dag) for dag_id, dag in known.items()}, database.paused_dags())
    polls.hidden.update(dag_id for dag_id, dag in dags.items() if dag is None)
    texts = sorted(polls.by_type) if wanted is None else [str(wanted)]
    for text in texts:
        yield from polls.check(text, is_asked=wanted is not None)
    if texts:
        return
    claiming = sorted(dag_id for dag_id, dag in known.items() if unended_claims(dag) is not None)
    if polls.hidden:
        yield unknown(
            f"{named(sorted(polls.hidden))} may poll, for action types that cannot be seen here.", _LOOK
        )
    elif claiming:
        yield unknown(
            f"No DAG here polls for jobs, but {_do(claiming, 'works', 'work')} on them.",
            "Check that something else finds the jobs: a DAG in another Airflow, or your own code.",
        )
    else:
        yield passed("No DAG here polls for jobs, and no DAG works on them.")


class _Polls:
    """
    Who polls for what.

    :param found: DAG → what it polls for.
    :param paused: The DAGs that are paused.
    """

    def __init__(self, found: Mapping[str, StoredPolls], paused: set[str]) -> None:
        self._found = found
        self._paused = paused
        #: Starts that were found at fault: the DAG that starts, and the one that would run.
        self._said: set[tuple[str, str]] = set()
        #: Action type → the DAGs that poll for it.
        self.by_type: dict[str, set[str]] = {}
        #: The DAGs that may poll for anything.
        self.hidden = {dag_id for dag_id, polls in found.items() if polls.hidden}
        # The watchers of an asset poll for all DAGs that it starts, whichever of them names the watchers.
        watched: dict[str, set[str]] = {}
        for polls in found.values():
            for asset, texts in polls.watched.items():
                watched.setdefault(asset, set()).update(texts)
        for dag_id, polls in found.items():
            for text in {*polls.sensors, *(text for asset in polls.assets for text in watched[asset])}:
                self.by_type.setdefault(text, set()).add(dag_id)

    def check(self, text: str, *, is_asked: bool) -> Iterator[Finding]:
        """Yield who polls for an action type, and what keeps the jobs from the work."""
        polling = self.by_type.get(text, set())
        live = sorted(polling - self._paused)
        if live:
            sensors = [task_id for each in live for task_id in self._found[each].sensors.get(text, ())]
            runs = "run" if len(sensors) > 1 else "runs"
            only = all(text in self._found[each].sensors for each in live)
            when = f", while {named(sensors)} {runs}" if only else ""
            yield passed(f"{_do(live, 'polls', 'poll')} for {text}{when}.", text)
            yield from self._check_targets(text, live)
            return
        others = sorted(self.hidden - self._paused)
        if polling:
            stopped = sorted(polling)
            said = f"{_do(stopped, 'polls', 'poll')} for {text}, but {_are(stopped)} paused: nothing polls"
            unpause = f"airflow dags unpause {stopped[0]}"
            if others:
                yield unknown(f"{said}, except perhaps {named(others)}.", unpause, text)
            elif is_asked:
                yield failed(f"{said}.", unpause, text)
            else:
                yield unknown(f"{said}.", f"{unpause}. Or leave it so, if it is meant.", text)
        elif others:
            yield unknown(
                f"No DAG here polls for {text}, except perhaps {named(others)}: that cannot be seen.",
                _LOOK,
                text,
            )
        else:
            yield unknown(
                f"No DAG here polls for {text}.{self._instead}",
                "Check the action type in the DAG; or that another Airflow, or your own code, polls.",
                text,
            )

    @property
    def _instead(self) -> str:
        there = sorted(self.by_type)
        return f" DAGs poll for {named(there)}." if there else ""

    def _check_targets(self, text: str, live: list[str]) -> Iterator[Finding]:
        for dag_id in live:
            # Once, also of a DAG that polls for several.
            for target in sorted(self._found[dag_id].targets):
                if (dag_id, target) in self._said:
                    continue
                start = f"{dag_id} polls for {text} and starts runs of {target}"
                if target not in self._found and target not in self.hidden:
                    self._said.add((dag_id, target))
                    yield failed(
                        f"{start}, which Airflow does not have.",
                        f"Correct trigger_dag_id in {dag_id}, or see airflow dags list-import-errors.",
                        text,
                    )
                elif target in self._paused:
                    self._said.add((dag_id, target))
                    yield failed(
                        f"{start}, which is paused: no job is worked on.",
                        f"airflow dags unpause {target}",
                        text,
                    )


def _do(dag_ids: list[str], one: str, several: str) -> str:
    return f"{named(dag_ids)} {one if len(dag_ids) == 1 else several}"


def _are(dag_ids: list[str]) -> str:
    return "is" if len(dag_ids) == 1 else "are"

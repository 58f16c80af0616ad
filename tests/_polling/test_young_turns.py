# SPDX-License-Identifier: Apache-2.0
"""Look-ups begin a few at a time; one that gets no answer holds up nobody."""

from __future__ import annotations

import asyncio

from airflow_codepipeline_partner._polling.young_turns import YoungTurns


async def let_all_run():
    for _ in range(50):
        await asyncio.sleep(0)


async def begun(turns, number):
    """Have some computations wait for their turns; return those that have begun, and what ends each."""
    begun, ends, tasks = [], [asyncio.Event() for _ in range(number)], []

    async def compute(which):
        async with turns.turn():
            begun.append(which)
            await ends[which].wait()

    tasks += [asyncio.create_task(compute(which)) for which in range(number)]
    await let_all_run()
    return begun, ends, tasks


def test_only_some_begin_at_once_and_in_their_order():
    async def run():
        started, ends, tasks = await begun(YoungTurns(2, 3600), 5)
        assert started == [0, 1]
        ends[1].set()
        await let_all_run()
        assert started == [0, 1, 2]
        for each in ends:
            each.set()
        await asyncio.gather(*tasks)
        assert started == [0, 1, 2, 3, 4]

    asyncio.run(run())


def test_what_gets_no_answer_holds_up_nobody():
    async def run():
        started, ends, tasks = await begun(YoungTurns(2, 0), 5)
        await asyncio.sleep(0.01)
        await let_all_run()
        assert started == [0, 1, 2, 3, 4]
        for each in ends:
            each.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_a_turn_is_given_back_once():
    async def run():
        turns = YoungTurns(1, 0)
        _, ends, tasks = await begun(turns, 1)
        await asyncio.sleep(0.01)
        ends[0].set()
        await asyncio.gather(*tasks)
        turns._seconds = 3600
        assert (await begun(turns, 3))[0] == [0]

    asyncio.run(run())


def test_a_computation_that_is_cancelled_gives_its_turn_back():
    async def run():
        turns = YoungTurns(1, 3600)
        started, _, [first, second] = await begun(turns, 2)
        first.cancel()
        await let_all_run()
        assert started == [0, 1]
        second.cancel()
        waiting = await begun(turns, 2)
        waiting[2][1].cancel()
        assert waiting[0] == [0]

    asyncio.run(run())

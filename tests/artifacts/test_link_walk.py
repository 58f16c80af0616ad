# SPDX-License-Identifier: Apache-2.0
"""Links are followed at the cost of reading each of them once."""

from __future__ import annotations

import os

import pytest
from archive_files import LINK, file, make_tar
from step_count import Steps

from airflow_codepipeline_partner.artifacts.link_walk import LinkLeadsOut, LinkWalk
from airflow_codepipeline_partner.artifacts.pack import pack
from airflow_codepipeline_partner.exceptions import ArtifactError


def walk(tree, path):
    """Follow a link in a tree: path → True for a folder, False for a file, or the text of a link."""
    LinkWalk(lambda at: tree.get(at, False)).follow(path, tree[path])


INSIDE = {
    "to a file": {"l": "a", "a": False},
    "to nothing": {"l": "none/and/none/../.."},
    "to the folder itself": {"a": True, "a/l": ".."},
    "through a folder and back": {"a": True, "l": "a/../a/./x"},
    "through a link": {"a": True, "a/b": True, "m": "a/b", "l": "m/../x"},
    "through nothing behind a link": {"m": "none/none", "l": "m/../../x"},
}
OUTSIDE = {
    "up": {"l": ".."},
    "up through nothing": {"l": "none/../.."},
    "up behind a link": {"a": True, "m": "a", "l": "m/../.."},
    "up, as the link above does": {"a": True, "a/b": True, "a/b/up": "..", "l": "a/b/up/../.."},
    "in a circle": {"l": "m", "m": "l"},
    "to itself": {"l": "l"},
    "below itself": {"l": "l/x"},
}


@pytest.mark.parametrize("tree", INSIDE.values(), ids=INSIDE)
def test_what_stays_inside_is_followed(tree):
    for path, text in tree.items():
        if isinstance(text, str):
            walk(tree, path)


@pytest.mark.parametrize("tree", OUTSIDE.values(), ids=OUTSIDE)
def test_what_leads_out_is_found(tree):
    with pytest.raises(LinkLeadsOut):
        walk(tree, "l")


@pytest.mark.parametrize("length", [41, 5000])
def test_a_link_through_more_than_forty_is_none(length):
    tree = {f"l{n}": f"l{n + 1}" for n in range(length)}
    with pytest.raises(LinkLeadsOut):
        walk(tree, "l0")


def test_hops_of_all_parts_are_added():
    tree = {"d": True, "m": "d", "l": "m/../" * 40 + "x"}
    with pytest.raises(LinkLeadsOut):
        walk(tree, "l")
    walk({**tree, "l": "m/../" * 39 + "x"}, "l")


def chain(hops, heads, tail="/x" * 2000):
    """Return links that lead through each other, each by a long path."""
    links = [(f"l{n}", f"l{n + 1}{tail}") for n in range(hops)]
    return [*links, *((f"h{n}", f"l0{tail}") for n in range(heads))]


def test_links_through_links_cost_what_they_are_long(unpack):
    links = [(name, text.encode(), LINK) for name, text in chain(39, 100)]
    with Steps() as steps:
        unpack(make_tar([file("a"), *links]))
    # Walked for each link anew, they cost forty times as much.
    assert steps.count < 139 * 2000 * 8


def test_links_cost_no_more_when_they_are_packed(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").touch()
    for name, text in chain(39, 100):
        (tmp_path / "f" / name).symlink_to(text)
    with Steps() as steps:
        pack(tmp_path / "f", tmp_path / "archive", artifact="Built")
    assert steps.count < 139 * 2000 * 8


def test_links_in_a_circle_are_not_packed(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").symlink_to("b")
    (tmp_path / "f" / "b").symlink_to("a")
    with pytest.raises(ArtifactError, match="through too many others"):
        pack(tmp_path / "f", tmp_path / "archive", artifact="Built")


def test_a_second_spelling_of_a_name_is_not_a_way_out(refused, monkeypatch):
    # As on a file system that ignores case: the link A is at the path a, too.
    monkeypatch.setattr("os.path.lexists", lambda path: path.endswith("/a"))
    assert "spelled in two ways" in refused(make_tar([file("x"), ("A", b".", LINK), ("l", b"a/../x", LINK)]))


def test_what_is_missing_is_looked_for_once(unpack, monkeypatch):
    """Each look costs as much as the path is deep."""
    looks, lexists = [], os.path.lexists
    monkeypatch.setattr("os.path.lexists", lambda path: looks.append(path) or lexists(path))
    links = [(f"{'d/' * 50}l{number}", b"x/../" * 300 + b"y", LINK) for number in range(10)]
    unpack(make_tar(links))
    assert len([path for path in looks if path.endswith(("/x", "/y"))]) == 2

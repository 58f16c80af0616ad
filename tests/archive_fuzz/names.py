# SPDX-License-Identifier: Apache-2.0
"""Names of entries and texts of links, in bytes, as archivers and attackers write them."""

from __future__ import annotations

PARTS = [
    b"a",
    b"b",
    b"d",
    b"l0",
    b"l1",
    b"A",
    b".",
    b"..",
    b"",
    b" ",
    b"-",
    b"C:",
    b"B::Op.3pm",
    b"a\\b",
    b"..\\x",
    b"\\x2d",
    "日本語のとても長い名前".encode(),
    "🚀".encode(),
    "cafe\u0301 ß".encode(),
    "日本".encode("shift_jis"),
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\x80\x82\xe1",
    b"\xc2\x9b",
    b"Icon\r",
    b"a\0b",
    b"\x1b[2J",
    b"n" * 255,
    b"n" * 256,
]

GOOD = [b"f", b"d/f", b"B::", b"dev\\x2d", "日本/🚀".encode(), "日本/é".encode(), b"e/deep/er/"]


def path(r):
    """Return a path; most are good ones if the archive is not wild."""
    if r.random() > r.wild:
        return b"%s%d" % (r.choice(GOOD), r.randrange(1000))
    kind = r.random()
    if kind < 0.45:
        return b"%s%d" % (r.choice([b"f", b"d/f", b"l", b"e/"]), r.randrange(20))
    if kind < 0.5:
        return b"d/" * r.choice([3, 199, 200, 201, 300, 2040, 5000]) + r.choice([b"", b"f"])
    joined = r.choice([b"/", b"/", b"\\", b"//", b"/./"]).join(r.choices(PARTS, k=r.randint(1, 4)))
    return (
        r.choice([b"", b"", b"", b"/", b"./", b"../", b"C:\\"]) + joined + r.choice([b"", b"", b"/", b"\\"])
    )


def target(r):
    """Return where a link leads: often through other links, by a long path."""
    if r.random() > r.wild:
        return r.choice([b"d", b"none/x", b"l1", b".", "日本/🚀".encode()])
    if r.random() < 0.4:
        return path(r)
    tail = r.choice([b"", b"/x", b"/..", b"/x/..", b"/d/.."]) * r.choice([0, 1, 2, 40, 600, 1300])
    return r.choice([b"l%d" % r.randrange(60), b"d", b".", b"x", b".."]) + tail


def chain(r):
    """Return names and texts of links that lead through each other."""
    length, heads = r.choice([2, 5, 39, 40, 41, 100]), r.choice([0, 1, 20])
    tail = r.choice([b"", b"/x", b"/..", b"/x/.."]) * r.choice([0, 1, 500, 1000])
    links = [(b"l%d" % n, b"l%d%s" % (n + 1, tail)) for n in range(length)]
    links += [(b"h%d" % n, b"l0" + tail) for n in range(heads)]
    if r.random() < 0.3:
        links.append((b"l%d" % length, b"l%d" % r.randrange(length)))
    return links

# SPDX-License-Identifier: Apache-2.0
"""Zips, good and bad."""

from __future__ import annotations

import stat

from zip_files import Member, field, unicode_path, zip_of

from archive_fuzz.names import chain, path, target

SYSTEMS = [0, 3, 3, 3, 6, 7, 10, 11, 14, 19, 30, 255]
MODES = [0, 0, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755]
STRANGE_MODES = [stat.S_IFIFO | 0o600, stat.S_IFCHR, stat.S_IFSOCK, 0xFFFF, 0o4755]
LINK = stat.S_IFLNK | 0o777


def draw(r):
    """Return a zip."""
    members = [_member(r) for _ in range(r.randint(0, 6))]
    if r.random() < 0.15:
        members += [Member(name, text, mode=LINK) for name, text in chain(r)]
    if r.random() < 0.1:
        members += [Member(b"again/", b"")] * r.choice([1, 10, 150, 250])
    if members and r.random() < 0.1 * r.wild:
        members += [r.choice(members)] * r.choice([1, 10, 150, 250])
    if r.random() < 0.1 * r.wild:
        return zip_of(*_overlapping(r))
    if r.random() < 0.1 * r.wild:
        members += [Member(b"m%d" % n, extra=_many_fields(r)) for n in range(r.choice([1, 20]))]
    if r.random() < 0.1:
        r.shuffle(members)
    before = r.choice([b"", b"", b"", b"PK\3\4", b"PK\5\6" + bytes(18)])
    comment = r.choice([b"", b"", b"comment", b"PK\5\6" * 1000, b"c" * 65_535])
    return zip_of(*members, comment=comment, before=before)


def _member(r):
    mode = r.choices([r.choice(MODES), LINK, r.choice(STRANGE_MODES)], [6, 3, r.wild])[0]
    name = path(r)
    is_wild = r.random() < r.wild
    return Member(
        name,
        target(r) if mode == LINK else b"" if mode == MODES[-1] else _content(r),
        system=r.choice(SYSTEMS),
        flags=r.choice([0x801, r.getrandbits(16) & ~8]) if is_wild else r.choice([0, 0x800]),
        mode=mode,
        dos=r.choice([0, 0, 0x10, 0xFFFF]),
        extra=_extra(r, name, is_wild=is_wild),
        local_extra=r.choice([b"", b"", b"", field(0xD935, bytes(4000)), b"\1"]),
        comment=r.choice([b"", b"", b"", b"c" * r.choice([10, 10_000])]),
        deflates=r.random() < 0.5,
        has_descriptor=r.random() < 0.3,
        is_zip64=r.random() < 0.2,
        offset=r.randrange(500) if is_wild and r.random() < 0.1 else None,
    )


def _content(r):
    large = [bytes(150_000), bytes(250_000)] if r.random() < 0.2 else [b""]
    return r.choice([b"x", b"x" * 7_000, b"y" * 700, r.randbytes(300), *large])


def _extra(r, name, *, is_wild):
    stored = name if r.random() < 0.8 else b"other"
    good = [b"", b"", field(0x5455, b"\1aaaa"), unicode_path(b"u/%s" % path(r), stored)]
    if not is_wild:
        return r.choice(good)
    return r.choice(
        [
            field(1, r.randbytes(r.choice([0, 7, 8, 24]))),
            field(0x7075, r.randbytes(r.randrange(8))),
            r.randbytes(r.randrange(9)),
        ]
    )


def _many_fields(r):
    return field(0x9999, b"") * r.choice([60, 64, 65, 5000, 16_000])


def _overlapping(r):
    """Return an entry, and others that lie within it, or at the same place."""
    number = r.choice([2, 30, 190])
    if r.random() < 0.5:
        # What tells them apart is a field.
        names = [unicode_path(b"o%03d" % n, b"o") for n in range(number)]
        return [Member(b"o", b"y" * 200, extra=name, offset=0) for name in names]
    inner = b"".join(zip_of(Member(b"i%03d" % n, b"y" * 200))[: 30 + 4 + 200] for n in range(10, 10 + number))
    packed = [Member(b"out", inner)]
    return [
        *packed,
        *(Member(b"i%03d" % n, b"y" * 200, offset=33 + 234 * (n - 10)) for n in range(10, 10 + number)),
    ]

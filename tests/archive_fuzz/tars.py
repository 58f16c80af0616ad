# SPDX-License-Identifier: Apache-2.0
"""Tars, good and bad, and what compresses them."""

from __future__ import annotations

import bz2
import gzip
import lzma

from tar_files import block, record

from archive_fuzz.names import chain, path, target

KINDS = [
    b"0",
    b"0",
    b"0",
    b"\0",
    b"5",
    b"5",
    b"7",
    b"V",
    b"D",
    b"1",
    b"2",
    b"2",
    b"3",
    b"6",
    b"M",
    b"S",
    b"?",
]
GOOD_KINDS = [b"0", b"0", b"0", b"\0", b"5", b"7", b"V", b"2"]
KEYS = [b"path", b"linkpath", b"size", b"mtime", b"comment", b"GNU.sparse.size", b"GNU.sparse.map"]
KEYS += [b"GNU.sparse.realsize", b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"hdrcharset"]


def header(name, kind=b"0", size=0, linkname=b"", middle=b""):
    """Return a header; its name and link are cut, as in the format."""
    raw = bytearray(512)
    raw[0:100] = name[:100].ljust(100, b"\0")
    raw[100:136] = b"0000755\0" + b"0000000\0" * 2 + b"0" * 12
    raw[124:136] = b"%011o\0" % size if 0 <= size < 8**11 else b"\x80" + (size % 256**11).to_bytes(11, "big")
    if size < 0:
        raw[124] = 0xFF
    raw[136:148] = b"00000000000\0"
    raw[156:157] = kind
    raw[157:257] = linkname[:100].ljust(100, b"\0")
    raw[257:265] = b"ustar  \0"
    raw[386 : 386 + len(middle)] = middle
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def extended(kind, content):
    return header(b"././@LongLink", kind, len(content)) + block(content)


def named(name, kind=b"0", size=0, linkname=b"", middle=b""):
    """Return a header for a name and a link of any length."""
    long_name = extended(b"L", name + b"\0") if len(name) > 100 else b""
    long_link = extended(b"K", linkname + b"\0") if len(linkname) > 100 else b""
    return long_name + long_link + header(name, kind, size, linkname, middle)


def draw(r):
    """Return a tar, perhaps compressed."""
    pieces = [_entry(r) for _ in range(r.randint(0, 6))]
    if r.random() < 0.15:
        pieces += [named(name, b"2", linkname=text) for name, text in chain(r)]
    if pieces and r.random() < 0.15 * r.wild:
        pieces += [r.choice(pieces)] * r.choice([1, 10, 150, 250])
    if r.random() < 0.1:
        r.shuffle(pieces)
    if r.random() < 0.15:
        # What makes nothing new, again and again.
        entry = r.choice([header(b"label", b"V"), header(b"d", b"5"), header(b"d", b"D")])
        pieces += [entry] * r.choice([10, 250, 390])
    ends = [bytes(1024), bytes(10_240)]
    end = r.choice([*ends, bytes(512), b"", bytes(1024) + b"x"] if r.random() < r.wild / 2 else ends)
    return _compressed(r, b"".join(pieces) + end)


def _entry(r):
    kind = r.choice(KINDS if r.random() < r.wild else GOOD_KINDS)
    before = b"".join(_extension(r) for _ in range(r.choices([0, 1, 2, 30], [6, 2, 0.5, 0.3 * r.wild])[0]))
    if r.random() < 0.12:
        return before + _sparse(r)
    if kind in (b"1", b"2"):
        return before + named(path(r), kind, linkname=target(r))
    content = r.choice([b"", b"x", b"x" * 3000, r.randbytes(700), bytes(20_000)]) if kind in b"07\0" else b""
    size = (
        len(content)
        if r.random() > 0.1 * r.wild
        else r.choice([-1, -512, 2**40, 2**80, 10**6, len(content) + 1])
    )
    return before + named(path(r), kind, size) + block(content)


def _extension(r):
    kind = r.choices([b"x", b"g", b"X", b"L", b"K"], [6, 1, 1, 1, 1])[0]
    if r.random() > r.wild:
        return extended(b"x", record(b"mtime", b"1.5") + record(b"path", path(r)))
    if kind in b"LK":
        return extended(kind, r.choice([path(r), target(r), b"n" * 5000, b""]) + b"\0")
    if r.random() < 0.1:
        # Records that overlap: each name goes on to the last equals sign.
        return extended(kind, r.choice([b"2 ", b"3 a", b"4 \xc3\xa9"]) * r.choice([10, 4000]) + b"=")
    return extended(kind, b"".join(_record(r) for _ in range(r.choices([1, 3, 500], [5, 5, 1])[0])))


def _record(r):
    key = r.choice(KEYS)
    if key in (b"path", b"linkpath", b"GNU.sparse.name"):
        return record(key, r.choice([path(r), target(r), b"a/" * 20_000]))
    value = r.choice(
        [b"0", b"1", b"7", b"-5", b"1e999", b"9" * 70, b"0,1", b"10,3,20,3", b"BINARY", b"", b"x=y"]
    )
    made = record(key, value)
    return made if r.random() < 0.97 else made.replace(b" ", b"0 ", 1)


def _sparse(r):
    pieces, at = [], 0
    for _ in range(r.choice([0, 1, 3, 200, 200 if r.random() > r.wild else 2500])):
        at += r.choice([0, 1, 100, 512])
        size = r.choice([0, 0, 1, 5])
        pieces.append((at if r.random() > 0.01 * r.wild else r.choice([0, -1, 2**50]), size))
        at += size
    content = b"c" * sum(size for _, size in pieces)
    real = b"%d" % (at + 1000 if r.random() > r.wild else r.choice([at, 10**6, 10**13, 0, -1]))
    numbers = [number for piece in pieces for number in piece]
    form = r.choice(["0.0", "0.1", "1.0", "GNU"])
    if form == "GNU":
        middle = b"".join(b"%011o\0%011o\0" % (abs(a) % 8**11, n) for a, n in pieces[:4]).ljust(96, b"\0")
        middle += b"\0" + b"%011o\0" % (abs(int(real)) % 8**11)
        return header(b"holes", b"S", len(content), middle=middle) + block(content)
    if form == "1.0":
        mapped = block(b"".join(b"%d\n" % number for number in [len(pieces), *numbers]))
        records = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")
        records += record(b"GNU.sparse.name", path(r)) + record(b"GNU.sparse.realsize", real)
        return extended(b"x", records) + header(b"h", b"0", len(mapped + content)) + mapped + block(content)
    records = record(b"GNU.sparse.size", real)
    if form == "0.1":
        records += record(b"GNU.sparse.map", b",".join(b"%d" % number for number in numbers))
    else:
        for offset, size in pieces[:1000]:
            records += record(b"GNU.sparse.offset", b"%d" % offset) + record(
                b"GNU.sparse.numbytes", b"%d" % size
            )
    return (
        extended(r.choice([b"x", b"x", b"x", b"g"]), records)
        + header(b"h", b"0", len(content))
        + block(content)
    )


def _compressed(r, tar):
    pack = r.choices([None, _gzip, bz2.compress, lzma.compress], [6, 6, 1, 1])[0]
    if pack is None:
        return tar
    if pack is _gzip and r.random() < 0.1 * r.wild:
        # A name without an end.
        return (
            b"\x1f\x8b\x08"
            + r.choice([b"\x08", b"\x10", b"\x1c"])
            + bytes(6)
            + b"n" * r.choice([10, 1_000_000])
        )
    cuts = sorted(r.choices(range(len(tar) + 1), k=r.choices([0, 1, 5], [6, 1, 1])[0]))
    streams = [pack(tar[a:b]) for a, b in zip([0, *cuts], [*cuts, len(tar)], strict=True)]
    if r.random() < 0.1:
        streams += [pack(b"")] * r.choice([1, 100, 1200, 5000])
    if r.random() < 0.1 * r.wild:
        r.shuffle(streams)
    return r.choice([b"", b"", bytes(4)]).join(streams)


def _gzip(data):
    return gzip.compress(data, 6, mtime=0)

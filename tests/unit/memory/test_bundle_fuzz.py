"""Whatever a file holds, importing it ends in one of our errors or in a sound bank."""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from swarm_runtime.errors import StoreError, UserError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.store import SPACE as SPACE_SETTING
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.pattern import space_to_json
from swarm_runtime.memory.travel.bundle import FRAMES as NAMES
from swarm_runtime.memory.travel.bundle import MAGIC, Contents, Limits, frame
from swarm_runtime.memory.travel.bundle_file import read_bundle
from swarm_runtime.memory.travel.bundle_reading import outline
from swarm_runtime.memory.travel.import_export import import_bundle
from tests.bundles import bundle_bytes, by_hand, contents, frames_of
from tests.experiences import SPACE, experience, trajectory

Random = random.Random
Frames = list[tuple[bytes, bytes]]

GOOD = bundle_bytes()
FRAMES = frames_of(GOOD)
HEADER_BODY = GOOD[
    len(MAGIC) + 37 : len(MAGIC) + 37 + int.from_bytes(GOOD[len(MAGIC) + 1 :][:4], "little")
]
LIMITS = Limits(bundle_bytes=1 << 22, record_bytes=1 << 20, text_bytes=1 << 18, records=1_000)

#: What does not belong where it is put.
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, -(2**31), 2**53 + 1, -(2**60), 2**64, 10**40, 1e308,
    -1e308, 5e-324, -0.0, math.nan, math.inf, -math.inf, "", "x", "\0", "\0array", "é" * 50,
    "x" * 3_000, "\ud800", [], {}, [[]], [1, "a"], {"a": {"b": []}}, {"\0array": ["<f4", [0]]},
    {"\0array": ["<f4", [2]]}, {"\0array": ["|O", [1]]}, {"\0array": ["<f8", [-1]]},
    {"\0array": ["<f8", [2**62, 4]]}, {"\0array": ["V8", [1]]}, {"\0array": 3},
    {"\0array": [{"names": ["a"]}, [1]]}, {"\0array": ["<U0", [5]]}, {"\0array": ["<f4", "ab"]},
    {"\0array": ["f4,f4", [1]]}, {"\0array": ["", [1]]}, {"\0array": ["M8[s]", [0]]},
    {"\0array": ["<f4", [[2]]]}, {"\0array": ["<f4", [True]]},
]  # fmt: skip


def text_of(body: bytes) -> tuple[Any, bytes]:
    """Return a record's JSON and what follows it."""
    length = int.from_bytes(body[:4], "little")
    return json.loads(body[4 : 4 + length]), body[4 + length :]


def body_of(value: Any, rest: bytes = b"", **how: Any) -> bytes:
    style = {"separators": (",", ":"), "sort_keys": True, "ensure_ascii": False, **how}
    text = json.dumps(value, **style).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(4, "little") + text + rest


def some_place(draw: Random, value: Any) -> list[Any]:
    """Return the way to some place in nested values."""
    way: list[Any] = []
    while isinstance(value, (dict, list)) and value and (not way or draw.random() < 0.6):
        key = draw.choice(sorted(value)) if isinstance(value, dict) else draw.randrange(len(value))
        way.append(key)
        value = value[key]
    return way


def put(value: Any, way: list[Any], new: Any) -> None:
    for key in way[:-1]:
        value = value[key]
    value[way[-1]] = new


# --- of the bytes as a whole ------------------------------------------------------------------


def flipped(draw: Random) -> bytes:
    data = bytearray(GOOD)
    for _ in range(draw.choice([1, 1, 2, 20])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def cut(draw: Random) -> bytes:
    return GOOD[: draw.randrange(len(GOOD))]


def spliced(draw: Random) -> bytes:
    start, end = sorted(draw.randrange(len(GOOD)) for _ in range(2))
    at = draw.randrange(len(GOOD))
    piece = draw.choice([b"", GOOD[start:end], draw.randbytes(draw.randrange(200)), bytes(40)])
    return draw.choice([GOOD[:at] + piece + GOOD[at:], GOOD[:start] + piece + GOOD[end:]])


def lengthened(draw: Random) -> bytes:
    one = draw.choice(outline(GOOD, "good").frames).offset
    length = draw.choice([0, 1, 2**20, 2**31 - 1, 2**32 - 1, draw.randrange(2**12)])
    return GOOD[: one + 1] + length.to_bytes(4, "little") + GOOD[one + 5 :]


def foreign(draw: Random) -> bytes:
    return draw.choice(
        [
            draw.randbytes(draw.randrange(3_000)),
            b"SQLite format 3\0" + draw.randbytes(900),
            b"PK\3\4" + draw.randbytes(200),
            b"\x80\5\x95" + draw.randbytes(60),
            json.dumps({"format": "swarm bank bundle"}).encode(),
            MAGIC,
            MAGIC * 3,
            MAGIC + draw.randbytes(draw.randrange(500)),
            MAGIC.replace(b"1", str(draw.randrange(10**6)).encode()) + GOOD[len(MAGIC) :],
            "swarm bank bundle ²\n".encode() + GOOD[len(MAGIC) :],
        ]
    )


def squeezed(draw: Random) -> bytes:
    data = bytearray(gzip.compress(draw.choice([GOOD, bytes(2**23), MAGIC + bytes(2**23)])))
    for _ in range(draw.randrange(3)):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    end = draw.choice([len(data), draw.randrange(len(data))])
    return bytes(data[:end]) + draw.choice([b"", b"\0", bytes(data)])


# --- of records, sealed and summed again ------------------------------------------------------


def rearranged(draw: Random) -> bytes:
    frames: Frames = list(FRAMES)
    for _ in range(draw.randrange(1, 4)):
        one, other = draw.randrange(len(frames)), draw.randrange(len(frames))
        action = draw.randrange(5)
        if action == 0:
            frames[one], frames[other] = frames[other], frames[one]
        elif action == 1:
            frames.insert(one, frames[other])
        elif action == 2 and len(frames) > 1:
            del frames[one]
        elif action == 3:
            frames[one] = (
                draw.choice([b"E", b"T", b"V", b"U", b"X", b"S", b"F", b"?"]),
                frames[one][1],
            )
        else:
            frames[one] = (frames[one][0], frames[other][1])
    header, _ = text_of(HEADER_BODY)
    if draw.random() < 0.7:
        names = [NAMES[kind] for kind, _ in frames if kind in NAMES]
        header["counts"] = {name: names.count(name) for name in sorted(set(names))}
    return by_hand(frames, body_of(header))


def rewritten(draw: Random) -> bytes:
    """Other values in some records, perhaps also in another spelling."""
    frames: Frames = list(FRAMES)
    for _ in range(draw.choice([1, 1, 3])):
        at = draw.randrange(len(frames))
        value, rest = text_of(frames[at][1])
        way = some_place(draw, value)
        new = draw.choice(ODD)
        action = draw.randrange(5)
        if action == 0:
            value[draw.choice(["more", "", "\0array", "id", "epoch"])] = new
        elif action == 1:
            del value[draw.choice(sorted(value))]
        else:
            put(value, way, new)
        how = draw.choice([{}, {}, {"ensure_ascii": True}, {"indent": 1}, {"sort_keys": False}])
        frames[at] = (frames[at][0], body_of(value, rest, **how))
    return by_hand(frames, HEADER_BODY)


def garbled(draw: Random) -> bytes:
    """Other bytes in some record."""
    frames: Frames = list(FRAMES)
    at = draw.randrange(len(frames))
    body = bytearray(frames[at][1])
    for _ in range(draw.choice([1, 1, 8])):
        body[draw.randrange(len(body))] = draw.randrange(256)
    end = draw.choice([len(body), len(body), draw.randrange(len(body))])
    frames[at] = (frames[at][0], bytes(body[:end]) + draw.choice([b"", b"", b"\0", bytes(64)]))
    return by_hand(frames, HEADER_BODY)


def misled(draw: Random) -> bytes:
    """A header that says something else."""
    value, _ = text_of(HEADER_BODY)
    if draw.random() < 0.5:
        put(value, some_place(draw, value), draw.choice(ODD))
    else:
        space = json.loads(value["space"])
        put(space, some_place(draw, space), draw.choice(ODD))
        value["space"] = json.dumps(space, ensure_ascii=False)
    return by_hand(FRAMES, body_of(value))


def nested(draw: Random) -> bytes:
    depth = draw.choice([10, 900, 990, 1_100, 40_000])
    left, right = draw.choice([("[", "]"), ('{"a":', "}"), ('{"\\u0000array":', "}")])
    inner = left * depth + "1" + right * depth
    text = draw.choice([inner, f'{{"id":{inner}}}', f'{{"id":"x","id":{inner}}}']).encode()
    body = len(text).to_bytes(4, "little") + text
    if draw.random() < 0.3:
        return by_hand(FRAMES, body)
    return by_hand([(draw.choice([b"E", b"T", b"I", b"X"]), body)], HEADER_BODY)


def told_wrong(draw: Random) -> bytes:
    """A sum or signatures of another form."""
    odd = draw.choice([value for value in ODD if not isinstance(value, float)])
    body = body_of(draw.choice([odd, [odd], {"records": odd, "sha256": odd}, [{"key": odd}] * 20]))
    signature = {"algorithm": "ed25519", "key": "00" * 32, "signature": "00" * 64}
    end = len(by_hand(FRAMES, HEADER_BODY)) - len(GOOD)
    assert not end
    footer = GOOD.rindex(b"F", 0, len(GOOD) - 36)
    return draw.choice(
        [
            GOOD + frame(b"S", body),
            GOOD + frame(b"S", body_of([signature])),
            GOOD + frame(b"S", body_of([{**signature, "key": odd}])),
            GOOD[:footer] + frame(b"F", body),
            GOOD + GOOD,
        ]
    )


MUTATIONS: list[Callable[[Random], bytes]] = [
    flipped, cut, spliced, lengthened, foreign, squeezed, rearranged, rewritten, rewritten,
    rewritten, garbled, garbled, misled, nested, told_wrong,
]  # fmt: skip


class Bank:
    """A bank that imports are tried on; it must stay as it is, or take all of one."""

    def __init__(self) -> None:
        self._fill()

    def _fill(self) -> None:
        self.store = SqliteStore(":memory:")
        self.store.set_setting(SPACE_SETTING, space_to_json(SPACE))
        self.store.record_all([experience("own").seal()], [trajectory("t1"), trajectory("own")])
        self.count = self.store.verify()

    def import_file(self, path: Path, draw: Random) -> str:
        """Return what became of it: ``refused``, ``not taken`` or ``taken``."""
        origin = draw.choice([None, "acme"])
        fits = draw.random() < 0.5
        try:
            bundle = read_bundle(path, allow_unsigned=True, limits=LIMITS)
        except (StoreError, UserError) as problem:
            assert str(path) in str(problem)
            return "refused"
        try:
            import_bundle(self.store, bundle, origin=origin, only_what_fits=fits)
        except (StoreError, UserError):
            assert self.store.verify() == self.count
            return "not taken"
        self.store.verify()
        # What was let in can be read, too, and learnt from.
        with ReasoningBank(self.store) as bank:
            assert bank.patterns()
            bank.recommend("fetch", {"site": "s1"}, ["mirror", "origin"], 2**40)
        self._fill()
        return "taken"


def fuzz(path: Path, seeds: range) -> dict[str, int]:
    found = {"refused": 0, "not taken": 0, "taken": 0}
    bank = Bank()
    for seed in seeds:
        draw = random.Random(seed)
        path.write_bytes(draw.choice(MUTATIONS)(draw))
        try:
            found[bank.import_file(path, draw)] += 1
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise
    assert bank.store.verify() == bank.count
    bank.store.close()
    return found


def test_the_bundle_that_is_spoilt_here_is_good(tmp_path: Path) -> None:
    path = tmp_path / "good.bundle"
    path.write_bytes(by_hand(FRAMES, HEADER_BODY))
    assert path.read_bytes() == GOOD
    with closing(SqliteStore(":memory:")) as store:
        bundle = read_bundle(path, allow_unsigned=True, limits=LIMITS)
        assert import_bundle(store, bundle).new == sum(contents().counts().values())
        assert isinstance(bundle.contents, Contents)


@pytest.mark.parametrize("part", range(4))
def test_bad_files_are_refused_and_leave_the_bank_as_it_was(tmp_path: Path, part: int) -> None:
    found = fuzz(tmp_path / "bad.bundle", range(100 * part, 100 * (part + 1)))
    assert found["refused"] > 50


@pytest.mark.soak
def test_ten_thousand_bad_files(tmp_path: Path) -> None:
    found = fuzz(tmp_path / "bad.bundle", range(1_000, 11_000))
    assert found["refused"] > 8_000
    assert found["not taken"] > 10 and found["taken"] > 10

"""Bundles: whole, signed, checked before anything is recorded, and then recorded all or nothing."""

from __future__ import annotations

import dataclasses
import gzip
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.codec import encode
from swarm_runtime.core.knowledge import Sealed
from swarm_runtime.errors import ConfigError, RunFolderError, StoreError
from swarm_runtime.memory.log.protocol import SPACE as SPACE_SETTING
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.annotations import Annotation, Tombstone
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import (
    ContextSpace,
    FeatureBins,
    pattern_id,
    space_to_json,
)
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.bundle import MAGIC, Bundle, Contents, Header, Limits, frame, pack
from swarm_runtime.memory.travel.bundle_file import read_bundle, write_bundle
from swarm_runtime.memory.travel.bundle_reading import opened, outline
from swarm_runtime.memory.travel.import_export import contents_of, import_bundle
from swarm_runtime.memory.travel.signing import generate_key, read_key, read_trusted
from tests.annotations import annotations, item, tombstone, usage, verdict
from tests.bundles import HEADER, bundle_bytes, by_hand, contents, frames_of, read
from tests.experiences import DAY_S, SPACE, experience, random_experience, trajectory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "knowledge.bundle"


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened_store:
        yield opened_store


def names(which: Contents) -> list[object]:
    """Return what is in it, in no order."""
    return sorted(
        [("experience", f"{one.agent} {one.epoch} {one.digest()}") for one in which.experiences]
        + [("trajectory", str(one.to_bytes())) for one in which.trajectories]
        + [(one.kind, str(one.to_bytes())) for one in which.annotations]
    )


def bundle(which: Contents, **header: Any) -> Bundle:
    """Return a bundle as it comes out of a file."""
    found = outline(bundle_bytes(which, dataclasses.replace(HEADER, **header)), "x.bundle")
    return Bundle("x.bundle", found.header, opened(found))


# --- there and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_what_was_written_comes_back_bit_by_bit(path: Path, compress: bool) -> None:
    size = write_bundle(path, HEADER, contents(), compress=compress)
    assert size == path.stat().st_size
    assert list(path.parent.iterdir()) == [path]
    found = read_bundle(path, allow_unsigned=True)
    assert names(found.contents) == names(contents())
    counts = {"experience": 6, "trajectory": 4, "verdict": 2, "item": 1, "usage": 1, "link": 1}
    assert found.header == dataclasses.replace(HEADER, counts={**counts, "tombstone": 1})
    assert (found.name, found.signed_by, found.trusted) == (str(path), (), None)


def test_equal_contents_give_equal_files_in_whatever_order_they_came() -> None:
    whole = contents()
    turned = Contents(whole.experiences[::-1], whole.trajectories[::-1], whole.annotations[::-1])
    assert bundle_bytes(turned) == bundle_bytes(whole)


def test_an_empty_bundle_is_one_too(path: Path) -> None:
    assert read(path, bundle_bytes(Contents())).contents == Contents()


@settings(deadline=None, max_examples=60)
@given(found=st.lists(annotations(), max_size=6))
def test_annotations_of_any_content_travel(found: list[Annotation]) -> None:
    by_name = {(one.kind, one.id): one for one in found}
    which = Contents((), (), tuple(by_name.values()))
    again = opened(outline(bundle_bytes(which), "bundle"))
    assert names(again) == names(which)


def test_a_record_that_is_there_twice_is_not_written(path: Path) -> None:
    for twice in (
        Contents((experience().seal(),) * 2),
        Contents((), (trajectory(), trajectory(excess=0.5))),
        Contents((), (), (verdict(), verdict(verdict=-1))),
    ):
        with pytest.raises(ValueError, match="is there twice"):
            write_bundle(path, HEADER, twice)
    assert list(path.parent.iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_if_that_is_said(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(RunFolderError, match="is there already; name another file"):
        write_bundle(path, HEADER, contents())
    assert path.read_text() == "mine"
    write_bundle(path, HEADER, contents(), replace=True)
    assert path.read_bytes() == bundle_bytes()


def test_places_where_no_file_can_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"nowhere/x: can't be written"):
        write_bundle(tmp_path / "nowhere" / "x", HEADER, contents())
    for place in (tmp_path, tmp_path / "missing", f"{tmp_path}/\0"):
        with pytest.raises(RunFolderError, match="can't be read"):
            read_bundle(place)


# --- signatures -------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("me", "stranger"):
        generate_key(folder / name, f"{name} at home")
    return folder


def test_a_bundle_signed_by_somebody_one_trusts_says_by_whom(path: Path, keys: Path) -> None:
    write_bundle(path, HEADER, contents(), key=read_key(keys / "me"), compress=True)
    found = read_bundle(path, trusted=keys / "me.pub")
    assert found.trusted == "me at home"
    assert found.signed_by == (read_key(keys / "me").public,)


def test_without_a_signature_one_trusts_a_bundle_is_refused(path: Path, keys: Path) -> None:
    write_bundle(path, HEADER, contents())
    with pytest.raises(RunFolderError, match=r"is not signed: nobody vouches .* allow unsigned"):
        read_bundle(path, trusted=keys / "me.pub")
    stranger = read_key(keys / "stranger")
    write_bundle(path, HEADER, contents(), key=stranger, replace=True)
    with pytest.raises(RunFolderError, match=f"is signed by {stranger.public}, which is not among"):
        read_bundle(path, trusted=keys / "me.pub")
    with pytest.raises(RunFolderError, match="not among the trusted keys"):
        read_bundle(path)
    assert read_bundle(path, allow_unsigned=True).trusted is None


def test_a_wrong_signature_is_refused_even_where_none_is_needed(path: Path, keys: Path) -> None:
    key = read_key(keys / "me")
    for signed in (b"something else", MAGIC):
        data = b"".join(pack(HEADER, contents(), lambda _, signed=signed: key.sign(signed)))
        with pytest.raises(StoreError, match=f"the signature by {key.public} is wrong"):
            read(path, data)


def test_a_signature_does_not_hold_for_another_bundle(path: Path, keys: Path) -> None:
    key = read_key(keys / "me")
    whole = b"".join(pack(HEADER, contents(), key.sign))
    signature = whole[len(bundle_bytes()) :]
    other = bundle_bytes(header=dataclasses.replace(HEADER, made_at_s=0))
    assert read(path, bundle_bytes() + signature, trusted=keys / "me.pub").trusted
    with pytest.raises(StoreError, match="is wrong"):
        read(path, other + signature)


def test_signatures_of_a_later_kind_may_stand_beside(path: Path, keys: Path) -> None:
    key = read_key(keys / "me")

    def both(message: bytes) -> list[Any]:
        return [
            *key.sign(message),
            dataclasses.replace(key, public="k").sign(b"")[0]._replace(algorithm="ml-dsa"),
        ]

    data = b"".join(pack(HEADER, contents(), both))
    assert read(path, data, trusted=keys / "me.pub", allow_unsigned=False).trusted == "me at home"


def test_keys_are_their_owners_alone(keys: Path) -> None:
    private = keys / "me"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert (keys / "me.pub").read_text() == f"ed25519 {read_key(private).public} me at home\n"
    assert "PRIVATE" not in repr(read_key(private))
    private.chmod(0o640)
    with pytest.raises(RunFolderError, match="others may read this key; chmod 600"):
        read_key(private)


def test_keys_are_never_overwritten(keys: Path) -> None:
    before = (keys / "me").read_bytes()
    with pytest.raises(RunFolderError, match="is there already"):
        generate_key(keys / "me")
    (keys / "me.pub").unlink()
    with pytest.raises(RunFolderError, match="is there already"):
        generate_key(keys / "me")
    assert (keys / "me").read_bytes() == before


def test_files_that_hold_no_keys_are_told(tmp_path: Path, keys: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\xff\x00")
    other.chmod(0o600)
    for read_one in (read_key, read_trusted):
        for place in (tmp_path / "missing", tmp_path, other, "\0"):
            with pytest.raises(RunFolderError):
                read_one(place)
    other.write_text("# mine\n\ned25519 zz\n")
    with pytest.raises(RunFolderError, match="line 3: `ed25519 <64 hex digits> <name>` is needed"):
        read_trusted(other)
    other.write_text((keys / "me.pub").read_text() * 2 + "\n# none\n")
    assert list(read_trusted(other).values()) == ["me at home"]


# --- damage -----------------------------------------------------------------------------------


def test_files_of_other_kinds_are_recognised(path: Path) -> None:
    for data in (
        b"",
        b"SQLite format 3\0" * 9,
        b"\x1f\x8bzz",
        gzip.compress(b"x" * 99),
        b"swarm b",
    ):
        with pytest.raises(StoreError, match=r"no bundle of a bank|is damaged|too early"):
            read(path, data)


def test_a_later_version_is_refused_with_what_to_do(path: Path) -> None:
    data = bundle_bytes().replace(b"bundle 1\n", b"bundle 12\n", 1)
    with pytest.raises(StoreError, match="of version 12, this program knows 1; update the program"):
        read(path, data)


def test_every_flipped_byte_is_noticed() -> None:
    good = bundle_bytes(Contents((experience().seal(),), (trajectory(),), (verdict(),)))
    for at in range(len(good)):
        with pytest.raises(StoreError):
            opened(outline(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], "bundle"))


def test_every_cut_is_noticed(path: Path) -> None:
    good = bundle_bytes(Contents((), (trajectory(),), (verdict(),)))
    for end in range(len(good)):
        with pytest.raises(StoreError, match=r"too early|no bundle|of version"):
            outline(good[:end], "bundle")
    squeezed = gzip.compress(good)
    for end in range(3, len(squeezed), 23):
        with pytest.raises(StoreError, match=r"too early|no bundle|damaged"):
            read(path, squeezed[:end])
    for tail in (b"\0", squeezed):
        with pytest.raises(StoreError, match="something follows"):
            read(path, squeezed + tail)


def header(**more: Any) -> dict[str, Any]:
    values = {one.name: getattr(HEADER, one.name) for one in dataclasses.fields(Header)}
    return values | {"counts": {"trajectory": 1}} | more


TRY = (b"T", trajectory().to_bytes())


@pytest.mark.parametrize(
    ("frames", "head", "told"),
    [
        ([TRY, TRY], {"counts": {"trajectory": 2}}, "is there twice, or out of order"),
        ([(b"V", verdict().to_bytes()), TRY], {}, "out of order"),
        ([TRY], {"counts": {"trajectory": 2}}, "says {'trajectory': 2}"),
        ([(b"V", TRY[1])], {}, "not a record of kind verdict"),
        ([(b"Z", TRY[1])], {}, "kind b'Z' is not known here"),
        ([(b"H", TRY[1])], {}, "kind b'H' is not known here"),
        ([(b"T", TRY[1][:-1])], {}, "arrays don't belong here"),
        ([(b"T", TRY[1] + b"\0")], {}, "arrays don't belong here"),
        ([(b"T", b"")], {}, "where the header alone|arrays"),
        ([TRY], {"space": "[]"}, "its header: space: not in the canonical form"),
        ([TRY], {"space": "[[1]]"}, "its header: space"),
        ([TRY], {"made_at_s": 1.5}, "its header: made_at_s = 1.5"),
        ([TRY], {"anonymised": 1}, "anonymised = 1"),
        ([TRY], {"counts": {"gossip": 1}}, "counts"),
        ([TRY], {"more": 1}, "its header is of another form"),
    ],
)
def test_what_is_sealed_but_wrong_is_told_with_its_place(
    path: Path, frames: list[tuple[bytes, bytes]], head: dict[str, Any], told: str
) -> None:
    with pytest.raises(StoreError, match=told) as caught:
        read(path, by_hand(frames, header(**head)))
    assert str(caught.value).startswith(f"{path}: at byte ")


def spoilt(**more: Any) -> Sealed:
    one = random_experience(1)
    values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return Sealed("a", 1, DAY_S, "market", "trade", encode(values | more))


@pytest.mark.parametrize(
    ("sealed", "told"),
    [
        (spoilt(agent=""), "its agent has no name"),
        (spoilt(cells=random_experience(1).cells + 9), "cell .* in a space of 9 cells"),
        (spoilt(excess=random_experience(1).excess * 0 + 2**30), "excess reward beyond 1048"),
        (spoilt(verdict=random_experience(1).verdict * 0 + 7), "a verdict is none of"),
        (spoilt(chosen=random_experience(1).chosen * 0 + 9), "out of range"),
        (spoilt(epoch=2.0), "epoch = 2.0"),
    ],
)
def test_experiences_that_can_not_be_are_refused(path: Path, sealed: Sealed, told: str) -> None:
    head = header(counts={"experience": 1})
    with pytest.raises(StoreError, match=told):
        read(path, by_hand([(b"E", sealed.blob)], head))


def test_experiences_need_a_space_and_no_gap(path: Path) -> None:
    first, third = experience("a", 1).to_bytes(), experience("a", 3).to_bytes()
    with pytest.raises(StoreError, match="its cells need a space"):
        read(path, by_hand([(b"E", first)], header(counts={"experience": 1}, space=None)))
    with pytest.raises(StoreError, match="epoch 3 of a came after 1"):
        read(path, by_hand([(b"E", first), (b"E", third)], header(counts={"experience": 2})))


def test_an_array_in_a_numbers_place_is_refused(path: Path) -> None:
    one = trajectory()
    values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    del values["steps"], values["task"]
    for verdict_ in (experience().verdict[0, :1], experience().verdict[0, :0], True, 1.0):
        body = encode({**values, "verdict": verdict_})
        with pytest.raises(StoreError, match=r"arrays don't belong|verdict = |canonical"):
            read(path, by_hand([(b"T", body)], header()))


def test_a_second_spelling_of_the_same_record_is_refused(path: Path) -> None:
    text = TRY[1][4:]
    for other in (
        text.replace(b":1.0", b":1.00"),
        text.replace(b'"id"', b'"\\u0069d"'),
        text + b" ",
    ):
        body = len(other).to_bytes(4, "little") + other
        with pytest.raises(StoreError, match="canonical form"):
            read(path, by_hand([(b"T", body)], header()))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b'"\\ud800"'])
def test_text_made_to_break_readers_is_only_refused(path: Path, text: bytes) -> None:
    body = len(text).to_bytes(4, "little") + text
    with pytest.raises(StoreError):
        read(path, by_hand([(b"T", body)], header()))
    with pytest.raises(StoreError, match="its header"):
        read(path, by_hand([TRY], body))


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(bundle_bytes=500), "more than 500"),
        (Limits(record_bytes=300), "at byte .*: a record of .* bytes, more than 300"),
        (Limits(text_bytes=100), "a record has more than 100 bytes of text"),
        (Limits(records=9), "there are more than 9 records"),
    ],
)
def test_sizes_are_limited(path: Path, limits: Limits, told: str) -> None:
    for data in (bundle_bytes(), gzip.compress(bundle_bytes())):
        with pytest.raises(StoreError, match=told):
            read(path, data, limits=limits)


def test_what_swells_when_decompressed_is_stopped(path: Path) -> None:
    swelling = gzip.compress(MAGIC + bytes(50_000_000))
    assert len(swelling) < 60_000
    with pytest.raises(StoreError, match="more than 1000000 bytes, decompressed"):
        read(path, swelling, limits=Limits(bundle_bytes=1_000_000))


def test_a_length_that_is_a_lie_costs_nothing(path: Path) -> None:
    lie = MAGIC + b"H" + (2**32 - 1).to_bytes(4, "little") + bytes(32)
    with pytest.raises(StoreError, match="a record of 4294967295 bytes, more than"):
        read(path, lie)


# --- into a bank ------------------------------------------------------------------------------


def test_an_import_brings_all_and_doing_it_again_changes_nothing(store: SqliteStore) -> None:
    done = import_bundle(store, bundle(contents()))
    assert (done.new, done.known, done.late, done.left_out) == (16, 0, 0, ())
    assert names(contents_of(store)) == names(contents())
    assert store.setting(SPACE_SETTING) == space_to_json(SPACE)
    again = import_bundle(store, bundle(contents()))
    assert (again.new, again.known) == (0, 16)
    assert names(contents_of(store)) == names(contents())
    assert store.verify() == 16


def test_what_was_exported_and_imported_is_exported_alike(store: SqliteStore) -> None:
    import_bundle(store, bundle(contents()))
    assert bundle_bytes(contents_of(store)) == bundle_bytes()


def test_an_import_that_contradicts_the_bank_changes_nothing(store: SqliteStore) -> None:
    store.record_all((), [trajectory("t3", excess=-1.0)])
    with pytest.raises(StoreError, match="'t3' is here already, with another content"):
        import_bundle(store, bundle(contents()))
    assert len(contents_of(store).trajectories) == store.verify() == 1


def other_space() -> str:
    volatility = SPACE.features[1]
    return space_to_json(ContextSpace((FeatureBins("trend", (0.0,), ("down", "up")), volatility)))


def test_another_space_is_refused_with_what_differs(store: SqliteStore) -> None:
    store.set_setting(SPACE_SETTING, other_space())
    told = r"trend is cut at \(-1.0, 1.0\) in the bundle and at \(0.0,\) in the bank"
    with pytest.raises(ConfigError, match=told):
        import_bundle(store, bundle(contents()))
    assert store.verify() == 0
    done = import_bundle(store, bundle(contents()), only_what_fits=True)
    assert done.new == 10
    assert done.left_out == ("6 experiences: their space is another one",)
    assert store.setting(SPACE_SETTING) == other_space()


def test_epochs_that_would_leave_a_gap_are_refused(store: SqliteStore) -> None:
    later = bundle(Contents((experience("a", 3).seal(), experience("b", 1).seal())))
    store.record_all([experience("a", 1).seal()])
    store.set_setting(SPACE_SETTING, space_to_json(SPACE))
    with pytest.raises(RunFolderError, match="of a begin with epoch 3, the bank's end with 1"):
        import_bundle(store, later)
    assert import_bundle(store, later, only_what_fits=True).new == 1
    assert store.view() == {"a": 1, "b": 1}


def test_embeddings_are_no_barrier(store: SqliteStore) -> None:
    other = bundle(Contents((), (trajectory(),)), dimension=64, embedder="a sentence model")
    assert import_bundle(store, other).new == 1


def test_what_retention_let_go_of_does_not_come_back(store: SqliteStore) -> None:
    import_bundle(store, bundle(contents()))
    assert store.let_go(2 * DAY_S) > 0
    left = len(contents_of(store).trajectories)
    done = import_bundle(store, bundle(contents()))
    assert done.late == 4 - left
    assert done.new + done.known + done.late == 16
    assert len(contents_of(store).trajectories) == left


def test_revocations_may_be_left_out(store: SqliteStore) -> None:
    done = import_bundle(store, bundle(contents()), revocations="none")
    assert done.left_out == ("1 tombstones: as asked for",)
    assert store.annotations("tombstone") == []
    with pytest.raises(ConfigError, match="Did you mean 'none'"):
        import_bundle(store, bundle(contents()), revocations="nome")  # type: ignore[arg-type]


# --- from somebody else -----------------------------------------------------------------------


def test_under_an_origin_nothing_meets_what_is_ones_own(store: SqliteStore) -> None:
    import_bundle(store, bundle(contents()))
    done = import_bundle(store, bundle(contents()), origin="acme")
    assert (done.new, done.known, done.left_out) == (16, 0, ())
    whole = contents_of(store)
    agents = {one.agent for one in (*whole.experiences, *whole.trajectories)}
    assert agents == {"a", "b", "me", "acme/a", "acme/b", "acme/me"}
    assert {one.target for one in whole.annotations if isinstance(one, Tombstone)} == {
        "liar",
        "acme/liar",
    }
    (theirs,) = (one for one in store.annotations("usage") if one.id == "acme/u1")
    assert theirs == usage("acme/u1", trajectory="acme/t1", agent="acme/me")
    (advice,) = (one for one in store.annotations("item") if one.agent == "acme/me")  # type: ignore[union-attr]
    assert advice == item(agent="acme/me", sources=("acme/t1",))
    assert import_bundle(store, bundle(contents()), origin="acme").new == 0


def pattern_of(one: Trajectory) -> str:
    cell = ContextReader(SPACE).cell(one.context)
    return pattern_id(one.domain, one.task_type, one.approach, cell)


@pytest.mark.parametrize("origin", ["", "a/b", "a\nb"])
def test_an_origin_has_to_be_a_name(store: SqliteStore, origin: str) -> None:
    with pytest.raises(ConfigError, match="a name without a slash"):
        import_bundle(store, bundle(contents()), origin=origin)


def test_a_stranger_revokes_nothing_that_is_not_its_own(store: SqliteStore) -> None:
    one = trajectory("x")
    pattern = pattern_of(one)
    stones = [
        tombstone("pattern", pattern),
        tombstone("item", item().statement),
        tombstone("trajectory", "x"),
        tombstone("agent", "me"),
    ]
    revoking = Contents((), (one, trajectory("y", approach="origin")), (*stones, item()))
    done = import_bundle(store, bundle(revoking), origin="acme")
    whole = contents_of(store)
    # What it says is revoked is left out, and what is left reaches only its own.
    assert [one.id for one in whole.trajectories] == ["acme/y"]
    found = {one.target for one in whole.annotations if isinstance(one, Tombstone)}
    assert found == {"acme/x", "acme/me"}
    assert len(whole.annotations) == 2
    assert len(done.left_out) == 3
    # Between banks of one owner, all of it is taken.
    assert import_bundle(store, bundle(revoking)).new == 7


def test_a_try_from_before_a_pattern_was_revoked_keeps_teaching_until_then(
    store: SqliteStore,
) -> None:
    one = trajectory("x", known_at_s=DAY_S)
    pattern = pattern_of(one)
    stone = tombstone("pattern", pattern, from_s=5 * DAY_S)
    import_bundle(store, bundle(Contents((), (one,), (stone,))), origin="acme")
    (kept,) = store.annotations("tombstone")
    assert kept == tombstone("trajectory", "acme/x", from_s=5 * DAY_S, agent="acme/me")


def test_nothing_may_follow_after_the_end(path: Path) -> None:
    signatures = frame(b"S", encode([]))
    assert read(path, bundle_bytes() + signatures).signed_by == ()
    for tail in (frame(*TRY), signatures * 2, signatures + frame(*TRY), frame(b"F", b"")):
        with pytest.raises(StoreError, match="something follows after the end"):
            read(path, bundle_bytes() + tail)


def test_frames_can_be_swapped_only_with_their_sum(path: Path) -> None:
    good = bundle_bytes()
    frames = frames_of(good)
    start = good.index(frame(*frames[6]))
    second = frame(*frames[7])
    first = frame(*frames[6])
    swapped = good[:start] + second + first + good[start + len(first) + len(second) :]
    assert len(swapped) == len(good)
    with pytest.raises(StoreError, match="its sum is another one"):
        read(path, swapped)

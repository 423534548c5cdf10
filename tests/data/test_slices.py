"""The slice store: mapped, never loaded; whatever is wrong with it is told."""

import copy
import json
import random
import zipfile

import numpy as np
import psutil
import pytest

from medsynth_lib.data.slices import BODY, INDEX, SliceStore, storage_dtype, write_index
from medsynth_lib.errors import InputError
from tests.data.cohort_factory import write_store

PATIENTS = {"P1": ("train", 3), "P2": ("test", 2), "P3": ("train", 4)}


@pytest.fixture
def folder(tmp_path):
    write_store(tmp_path / "store", PATIENTS)
    return tmp_path / "store"


def test_arrays_are_mapped_read_only_in_physical_units(folder):
    store = SliceStore.open(folder)
    assert len(store) == 9
    for modality in ("CT", "PET", BODY):
        assert isinstance(store[modality], np.memmap)
        assert not store[modality].flags.writeable
        assert store[modality].dtype == storage_dtype(modality)


def test_memory_does_not_grow_with_the_store(tmp_path):
    """400 MB on disk (a sparse file), of which three slices are read."""
    count, size = 6000, 128
    for modality in ("PET", "CT", BODY):
        np.lib.format.open_memmap(tmp_path / f"{modality}.npy", "w+", storage_dtype(modality), (count, size, size))
    entry = {"key": "P1", "split": "train", "start": 0, "stop": count, "spacing_mm": [1, 1, 1], "problems": []}
    settings = {"source": "PET", "target": "CT"}
    about = {"modalities": ["PET", "CT"], "size": size, "settings": settings, "skipped": [], "synthetic": True}
    write_index(tmp_path, [{**entry, "z_mm": list(range(count)), "windows": {}}], **about)
    process = psutil.Process()
    before = process.memory_info().rss
    store = SliceStore.open(tmp_path)
    for index in (0, count // 2, count - 1):
        assert store["PET"][index].sum() == 0
    assert process.memory_info().rss - before < 20e6


def test_every_slice_belongs_to_one_patient(folder):
    store = SliceStore.open(folder)
    assert [store.patient_of(index).key for index in range(9)] == ["P1"] * 3 + ["P2"] * 2 + ["P3"] * 4
    assert [[patient.key for patient in store.split(name)] for name in ("train", "validation", "test")] == [
        ["P1", "P3"],
        [],
        ["P2"],
    ]
    with pytest.raises(InputError, match="unknown split"):
        store.split("tset")


def test_a_shared_window_is_one_and_windows_per_patient_are_refused(folder):
    assert SliceStore.open(folder).window("CT").low == -1000
    change(folder, lambda index: index["patients"][1]["windows"]["CT"].update(high=999.0))
    with pytest.raises(InputError, match="window per patient"):
        SliceStore.open(folder).window("CT")


def change(folder, edit) -> None:
    index = json.loads((folder / INDEX).read_text())
    edit(index)
    (folder / INDEX).write_text(json.dumps(index))


# Damage


@pytest.mark.parametrize(
    "edit",
    [
        lambda index: index.update(format="medsynth slice store 99"),
        lambda index: index.update(patients=[]),
        lambda index: index.pop("size"),
        lambda index: index.update(settings={}),
        lambda index: index["patients"][1].update(split="tset"),
        lambda index: index["patients"][1].update(start=2),
        lambda index: index["patients"][1]["z_mm"].pop(),
        lambda index: index["patients"][1].update(windows=[1]),
        lambda index: index["patients"][1].update(surprise=1),
    ],
)
def test_an_index_that_breaks_a_rule(folder, edit):
    change(folder, edit)
    with pytest.raises(InputError):
        SliceStore.open(folder)


def nodes(value, path=()):
    """Paths to every value inside nested dicts and lists."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from nodes(child, (*path, key))


def test_an_index_changed_anywhere_opens_or_says_why(folder):
    """300 single changes: a value dropped, or replaced by something of another kind."""
    good, rng = json.loads((folder / INDEX).read_text()), random.Random(0)
    refused = 0
    for _ in range(300):
        index = copy.deepcopy(good)
        *path, last = rng.choice(list(nodes(good)))
        parent = index
        for key in path:
            parent = parent[key]
        if rng.random() < 0.3:
            del parent[last]
        else:
            parent[last] = rng.choice([None, "x", -1, 7, 1e300, [], {}, [[]], True])
        (folder / INDEX).write_text(json.dumps(index))
        try:
            SliceStore.open(folder)
        except InputError:
            refused += 1
    assert refused > 150


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'"medsynth slice store 1"'])
def test_an_index_that_is_no_index(folder, content):
    (folder / INDEX).write_bytes(content)
    with pytest.raises(InputError):
        SliceStore.open(folder)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def cut_header(path):
    path.write_bytes(path.read_bytes()[:40])


def empty(path):
    path.write_bytes(b"")


def other_shape(path):
    np.save(path, np.zeros((9, 16, 16), storage_dtype(path.stem)))


def other_dtype(path):
    np.save(path, np.zeros((9, 32, 32), np.complex64))


def pickled(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", b"x")


def half_archive(path):
    path.write_bytes(b"PK\x03\x04" + bytes(100))


def huge(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(9, 32, 32)", b"(9**9,3, 3)"))


def removed(path):
    path.unlink()


def text(path):
    path.write_text("Dear colleague")


@pytest.mark.parametrize("modality", ["CT", BODY])
@pytest.mark.parametrize(
    "damage",
    [truncate, cut_header, empty, other_shape, other_dtype, pickled, archive, half_archive, huge, removed, text],
)
def test_a_damaged_array_is_told(folder, modality, damage):
    damage(folder / f"{modality}.npy")
    with pytest.raises(InputError) as told:
        SliceStore.open(folder)
    assert modality in str(told.value)


def test_array_headers_with_flipped_bits_open_or_say_why(folder):
    path, rng = folder / "CT.npy", random.Random(0)
    good = path.read_bytes()
    for _ in range(300):
        content = bytearray(good)
        content[rng.randrange(128)] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(content))
        try:
            assert SliceStore.open(folder)["CT"].shape == (9, 32, 32)
        except InputError as error:
            assert error.where == path  # noqa: PT017, either outcome is right


def test_no_store_at_all(tmp_path):
    with pytest.raises(InputError, match="not a slice store"):
        SliceStore.open(tmp_path / "nowhere")

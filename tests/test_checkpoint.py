"""Checkpoints and token files: what is saved comes back, what is damaged is named."""

import hashlib
import json
import os
import zipfile

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig
from numpygpt.checkpoint import (
    CheckpointError,
    digest_of,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from numpygpt.data import (
    DataError,
    DataLoader,
    load_tokenizer,
    prepare,
    read_tokens,
    write_tokens,
)
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

META = {"step": 7, "rng": {"state": 2**127 + 1}, "name": "Ünï"}


def some_arrays():
    rng = np.random.default_rng(0)
    return {
        "a.W": rng.normal(size=(30, 20)).astype(np.float32),
        "a.b": rng.normal(size=20),
        "t": np.array(5),
    }


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "a folder" / "in another" / "checkpoint.npz"  # neither is there yet
    save_checkpoint(path, some_arrays(), META)
    return path


def test_arrays_and_meta_come_back_as_they_were(checkpoint):
    arrays, meta = load_checkpoint(checkpoint)
    assert meta == META
    for name, a in some_arrays().items():
        assert arrays[name].dtype == a.dtype
        np.testing.assert_array_equal(arrays[name], a)
    assert arrays.keys() == some_arrays().keys()
    assert os.listdir(checkpoint.parent) == ["checkpoint.npz"]


def test_a_truncated_checkpoint_is_named_at_every_length(checkpoint):
    whole = checkpoint.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        checkpoint.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
            load_checkpoint(checkpoint)


def test_a_flipped_bit_is_found_wherever_it_is(checkpoint):
    whole = checkpoint.read_bytes()
    expected = {name: a.tobytes() for name, a in some_arrays().items()}
    caught = 0
    for position in range(0, len(whole), 41):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        checkpoint.write_bytes(damaged)
        try:
            arrays, meta = load_checkpoint(checkpoint)
        except CheckpointError:
            caught += 1
        else:  # a bit that means nothing, such as a time stamp: then all is as it was
            assert meta == META and {n: a.tobytes() for n, a in arrays.items()} == expected
    assert caught > 60


def rewrite(path, **changes):
    """Change entries of an .npz the way someone would who knows the format."""
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files}
    with open(path, "wb") as file:
        np.savez(file, **{**entries, **changes})


def test_a_tampered_weight_or_counter_is_named(checkpoint):
    rewrite(checkpoint, **{"a.b": np.zeros(20)})
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, some_arrays(), META)
    rewrite(checkpoint, __json__=np.array(json.dumps({"version": 1, "meta": {**META, "step": 8}})))
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        load_checkpoint(checkpoint)
    rewrite(checkpoint, __json__=np.array("[]"))
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load_checkpoint(checkpoint)


# Where zip's central directory holds an entry's flags and its method of compression.
@pytest.mark.parametrize(("offset", "value"), [(8, 1), (10, 8), (10, 99)])
def test_an_entry_that_claims_to_be_encrypted_or_compressed_is_damage(checkpoint, offset, value):
    damaged = bytearray(checkpoint.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + offset] = value
    damaged[damaged.index(b"\x93NUMPY")] = 7  # as compressed data: a block of no known type
    checkpoint.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load_checkpoint(checkpoint)


def test_a_checkpoint_of_another_version_is_named(checkpoint, monkeypatch):
    monkeypatch.setattr("numpygpt.checkpoint.VERSION", 2)
    save_checkpoint(checkpoint, some_arrays(), META)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has version 2, this program reads 1"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04K\x01."])
def test_something_else_is_not_a_checkpoint(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="x.npz is damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_pickle_in_the_archive_is_not_unpickled(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([{"os": "system"}], dtype=object), __sha256__=np.array("0"))
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "no array")
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="none.npz does not exist"):
        load_checkpoint(tmp_path / "none.npz")


def test_a_folder_is_not_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_failed_save_leaves_the_old_checkpoint_and_nothing_else(checkpoint, monkeypatch):
    def disk_full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError):
        save_checkpoint(checkpoint, {}, {})
    monkeypatch.undo()
    assert load_checkpoint(checkpoint)[1] == META
    assert os.listdir(checkpoint.parent) == ["checkpoint.npz"]


def test_the_bytes_are_on_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, real=real: (calls.append(n), real(*a)))
    save_checkpoint(tmp_path / "c.npz", some_arrays(), META)
    assert calls == ["fsync", "replace"]


def test_the_digest_is_over_names_types_shapes_and_bytes_in_any_order():
    a, b = np.arange(6.0), np.arange(6)
    digest = digest_of({"a": a, "b": b})
    assert digest == digest_of({"b": b, "a": a})
    changed = [{"a": a, "c": b}, {"a": a.reshape(2, 3), "b": b}, {"a": a.view("i8"), "b": b},
               {"a": a + 1, "b": b}, {"a": a}]  # fmt: skip
    assert len({digest, *map(digest_of, changed)}) == 6


def test_load_model_takes_a_builder_for_another_model(tmp_path):
    tokenizer = CharTokenizer.train("hello")
    model = Llama(LlamaConfig(4, 5, 1, 2, 8, n_kv_head=1), rng=np.random.default_rng(0))
    arrays = {f"model.{name}": p for name, p in model.params().items()}
    meta = {"model": {**vars(model.config)}, "tokenizer": tokenizer.to_json()}
    path = tmp_path / "m.npz"
    save_checkpoint(path, arrays, meta)
    with pytest.raises(CheckpointError, match="m.npz does not hold a model.*n_kv_head"):
        load_model(path)

    def build(meta, **options):
        return Llama(LlamaConfig(**meta["model"]), **options)

    again, tokens, _ = load_model(path, np.float64, build)
    assert again.wte.W.dtype == np.float64
    ids = np.array([tokens.encode("hell")])
    np.testing.assert_allclose(model(ids), again(ids), atol=1e-6)


def test_load_model_builds_what_was_saved(tmp_path):
    tokenizer = CharTokenizer.train("hello")
    model = GPT(GPTConfig(4, 5, 1, 2, 6), rng=np.random.default_rng(0))
    arrays = {f"model.{name}": p for name, p in model.params().items()}
    shape = {**vars(model.config)}
    path = tmp_path / "m.npz"
    save_checkpoint(path, arrays, {"model": shape, "tokenizer": tokenizer.to_json()})
    again, tokens, _ = load_model(path)
    ids = np.array([tokens.encode("hell")])
    np.testing.assert_array_equal(model(ids), again(ids))

    for bad in ({"n_embd": 8}, {"n_head": 5}, {"vocab_size": 9}, {"colour": 1}):
        save_checkpoint(path, arrays, {"model": {**shape, **bad}, "tokenizer": tokenizer.to_json()})
        with pytest.raises(CheckpointError, match="m.npz"):
            load_model(path)
    for part in ("model", "tokenizer"):
        meta = {"model": shape, "tokenizer": tokenizer.to_json()}
        del meta[part]
        save_checkpoint(path, arrays, meta)
        with pytest.raises(CheckpointError, match=f"m.npz does not hold a model.*{part}"):
            load_model(path)
    other = CharTokenizer.train("hello you").to_json()
    save_checkpoint(path, arrays, {"model": shape, "tokenizer": other})
    with pytest.raises(CheckpointError, match="m.npz: 7 tokens do not fit vocab_size=4"):
        load_model(path)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(300, "<u2"), (65536, "<u2"), (65537, "<u4")])
def test_tokens_come_back_from_disk_in_the_smallest_type_that_fits(tmp_path, vocab_size, dtype):
    ids = [0, 5, 299, vocab_size - 1]
    write_tokens(tmp_path / "t.bin", [ids[:3], [], ids[3:]], vocab_size)
    tokens, size = read_tokens(tmp_path / "t.bin")
    assert tokens.dtype == dtype and isinstance(tokens, np.memmap)
    assert not tokens.flags.writeable
    assert (list(tokens), size) == (ids, vocab_size)


@pytest.mark.parametrize("bad", [-1, 300, 70_000])
def test_ids_outside_the_vocabulary_are_not_written(tmp_path, bad):
    with pytest.raises(DataError, match="do not fit vocab_size=300"):
        write_tokens(tmp_path / "t.bin", [[5], [5, bad, 5]], 300)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_of_a_long_file_covers_all_of_it(tmp_path):
    path = tmp_path / "t.bin"
    a = (
        np.random.default_rng(0).integers(0, 300, (1 << 20) + 5).astype("<u2")
    )  # two pieces, and more
    about = write_tokens(path, [a[:9], a[9:]], 300)
    assert about["sha256"] == hashlib.sha256(a.tobytes()).hexdigest()
    assert about == json.loads(path.with_suffix(".json").read_text()) and about["length"] == len(a)
    np.testing.assert_array_equal(read_tokens(path)[0], a)
    for place in (-1, 1 << 21, 0):
        damaged = bytearray(a.tobytes())
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="t.bin is not the file that its .json describes"):
            read_tokens(path)


@pytest.mark.parametrize("place", [0, 1_100_000])
def test_an_id_outside_the_vocabulary_is_found_although_the_digest_is_right(tmp_path, place):
    a = np.zeros(1_100_001, "<u2")
    a[place] = 300
    path = tmp_path / "t.bin"
    about = write_tokens(path, [a], 301)
    path.with_suffix(".json").write_text(json.dumps(about | {"vocab_size": 300}))
    with pytest.raises(DataError, match="t.bin is not the file that its .json describes"):
        read_tokens(path)


def test_damaged_token_files_are_named(tmp_path):
    path = tmp_path / "t.bin"

    def fresh():
        write_tokens(path, [range(100)], 300)

    fresh()
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match="t.bin is not the file that its .json describes"):
        read_tokens(path)
    fresh()
    path.write_bytes(b"\x01" + path.read_bytes()[1:])
    with pytest.raises(DataError, match="t.bin is not the file that its .json describes"):
        read_tokens(path)
    fresh()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="t.bin"):
        read_tokens(path)
    fresh()
    about = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**about, "length": 99}))
    with pytest.raises(DataError, match="t.bin is not the file that its .json describes"):
        read_tokens(path)
    for text in (
        "",
        "{",
        "[]",
        '{"dtype": "<u2"}',
        json.dumps({**about, "dtype": "<i2"}),
        json.dumps({**about, "dtype": "O"}),
        json.dumps({**about, "vocab_size": "300"}),
        json.dumps({**about, "vocab_size": None}),
        "[" * 100_000,
    ):
        fresh()
        path.with_suffix(".json").write_text(text)
        with pytest.raises(DataError, match="damaged"):
            read_tokens(path)
    fresh()
    path.unlink()
    with pytest.raises(DataError, match="t.bin is missing"):
        read_tokens(path)


def test_a_tokenizer_that_is_missing_or_something_else_is_named(tmp_path):
    path = tmp_path / "t.json"
    with pytest.raises(DataError, match="t.json is missing: make it with"):
        load_tokenizer(path)
    for text in ("", "[]", "7", "{}", '{"kind": "syllable"}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(DataError, match="t.json is not a tokenizer"):
            load_tokenizer(path)


def test_the_validation_text_is_the_last_tenth_and_the_same_for_every_tokenizer(tmp_path):
    text = "".join(f"line {i} of it,\n" for i in range(200))
    for tokenizer in (
        CharTokenizer.train(text),
        WordTokenizer.train(text),
        BPETokenizer.train(text, 270),
    ):
        folder = tmp_path / tokenizer.kind
        n_train, n_val = prepare(text, tokenizer, folder)
        assert load_tokenizer(folder / "tokenizer.json").to_json() == tokenizer.to_json()
        train, val = (read_tokens(folder / f"{name}.bin")[0] for name in ("train", "val"))
        assert (len(train), len(val)) == (n_train, n_val)
        if tokenizer.kind != "word":
            cut = round(len(text) * 0.9)
            assert tokenizer.decode(train.tolist()) == text[:cut]
            assert tokenizer.decode(val.tolist()) == text[cut:]
        assert {p.name for p in folder.iterdir()} == {
            "train.bin", "train.json", "val.bin", "val.json", "tokenizer.json"
        }  # fmt: skip


def test_a_batch_is_windows_and_the_same_windows_one_later():
    tokens = (np.arange(50) * 3).astype("<u2")  # as on disk
    loader = DataLoader(tokens, 200, 7, rng=np.random.default_rng(0))
    x, y = next(loader)
    assert x.shape == y.shape == (200, 7)
    assert x.dtype == y.dtype == np.int64  # of uint16, x - y would wrap
    np.testing.assert_array_equal(y, x + 3)
    # Every start from the first to the last possible one occurs.
    assert set(x[:, 0] // 3) == set(range(43))
    x2, _ = next(loader)
    assert (x != x2).any()


def test_a_text_as_long_as_one_window_and_its_target_is_enough():
    x, y = next(DataLoader(np.arange(8), 2, 7, rng=np.random.default_rng(0)))
    assert (x == np.arange(7)).all() and (y == np.arange(1, 8)).all()
    with pytest.raises(DataError, match="7 tokens are too few for a window of block_size=7"):
        DataLoader(np.arange(7), 2, 7, rng=np.random.default_rng(0))

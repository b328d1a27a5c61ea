"""Fine-tuning: the masked loss, rows of examples, LoRA, the dialogues, and the command."""

import copy
import importlib.util
import io
import json
import re
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig
from numpygpt.chat import PLAY, Chat, Template, as_play, render
from numpygpt.checkpoint import load_checkpoint, load_model, save_checkpoint
from numpygpt.cli import main
from numpygpt.engine import ThreadedEngine
from numpygpt.evaluate import answers_right
from numpygpt.metrics import read_metrics
from numpygpt.nn import CrossEntropyLoss, Linear, LoRALinear
from numpygpt.nn.lora import Adapter
from numpygpt.posttraining import (
    Example,
    Finetuner,
    MaskedLoss,
    RowLoader,
    adder,
    packed,
    padded,
    turns,
    weighted_cross_entropy,
    weighted_cross_entropy_backward,
)
from numpygpt.posttraining.masked import IGNORE
from numpygpt.tokenizers import BPETokenizer, CharTokenizer
from numpygpt.training import TrainConfig, Trainer

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
V, B, T = 11, 3, 5


def small(kind="gpt", dtype=np.float64, size=0.5, block_size=8):
    rng = np.random.default_rng(1)
    if kind == "gpt":
        model = GPT(GPTConfig(V, block_size, 2, 3, 12), rng=rng, dtype=dtype)
    else:
        config = LlamaConfig(V, block_size, 2, 6, 12, n_kv_head=3, head_dim=4, hidden=14)
        model = Llama(config, rng=rng, dtype=dtype)
    for p in model.params().values():
        p[...] = rng.normal(0, size, p.shape)
    return model


def adapted(model, rank=2, alpha=5.0):
    rng = np.random.default_rng(2)
    adapter = Adapter(model, rank, alpha, rng=rng)
    for p in adapter.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return adapter


def batch(seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, V, (2, B, T))
    y[0, :3] = y[1, 4] = IGNORE
    return x, y


# ---- the loss ----


def test_without_a_mask_it_is_the_loss_of_chapter_5():
    logits, targets = np.random.default_rng(0).normal(size=(B, T, V)), batch()[1] % V
    ours, theirs = MaskedLoss(), CrossEntropyLoss()
    assert ours(logits, targets) == pytest.approx(theirs(logits, targets), rel=1e-15)
    np.testing.assert_allclose(ours.backward(0.3), theirs.backward(0.3), rtol=1e-14)


def test_the_mean_is_over_the_targets_that_count_and_the_others_change_nothing():
    logits, (_, targets) = np.random.default_rng(0).normal(size=(B, T, V)), batch()
    counts = targets != IGNORE
    loss = MaskedLoss()
    alone = CrossEntropyLoss()
    assert loss(logits, targets) == pytest.approx(alone(logits[counts], targets[counts]), rel=1e-14)
    dlogits = loss.backward()
    np.testing.assert_allclose(dlogits[counts], alone.backward(), rtol=1e-13)
    assert not dlogits[~counts].any()
    logits[~counts] = 1e4 * np.sign(logits[~counts])
    assert loss(logits, targets) == pytest.approx(alone(logits[counts], targets[counts]), rel=1e-14)
    assert loss.backward().dtype == np.float64
    loss(logits.astype(np.float32), targets)
    assert loss.backward(np.float64(2.0)).dtype == np.float32


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_weights_of_either_sign_through_a_whole_model_to_every_parameter(kind):
    model, rng = small(kind), np.random.default_rng(3)
    x, targets = rng.integers(0, V, (2, B, T))
    weights, total = rng.normal(size=(B, T)) * (rng.random((B, T)) < 0.7), 4.0

    def loss():
        return weighted_cross_entropy(model(x), targets, weights, total)

    logits = model(x)
    dlogits = weighted_cross_entropy_backward(logits, targets, weights, total)
    moved = logits.copy()
    for index in [tuple(rng.integers(0, n) for n in logits.shape) for _ in range(40)]:
        values = []
        for shift in (1e-5, -1e-5):
            moved[index] = logits[index] + shift
            values.append(weighted_cross_entropy(moved, targets, weights, total))
        moved[index] = logits[index]
        slope = (values[0] - values[1]) / 2e-5
        assert dlogits[index] == pytest.approx(slope, rel=1e-6, abs=1e-8)
    model.zero_grad()
    model.backward(dlogits)
    grads = {name: g.copy() for name, g in model.grads().items()}
    for name, p in model.params().items():
        flat = p.reshape(-1)
        for i in rng.choice(p.size, min(p.size, 7), replace=False):
            kept, values = flat[i], []
            for shift in (1e-5, -1e-5):
                flat[i] = kept + shift
                values.append(loss())
            flat[i] = kept
            slope = (values[0] - values[1]) / 2e-5
            assert grads[name].reshape(-1)[i] == pytest.approx(slope, rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize(
    "targets, weights, total, message",
    [
        ([0, 1, 2], [1, 1], None, "shape"),
        ([0, 1, V], [1, 1, 1], None, "ids from 0"),
        ([0, -1, 2], [1, 1, 1], None, "ids from 0"),
        ([0, 1, 2], [0, 0, 0], None, "no token"),
        ([0, 1, 2], [1, -1, 1], None, "give a total"),
        ([0, 1, 2], [1, -1, 1], 0, "no token"),
        ([0, 1, 2], [1, 1, 1], np.nan, "no token"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(targets, weights, total, message):
    args = np.zeros((3, V)), np.array(targets), np.array(weights), total
    for f in (weighted_cross_entropy, weighted_cross_entropy_backward):
        with pytest.raises(ValueError, match=message):
            f(*args)


# ---- rows ----


def some_examples(seed=0, n=30):
    rng = np.random.default_rng(seed)
    return [
        Example(rng.integers(1, V, rng.integers(2, 5)).tolist(), rng.integers(1, V, m).tolist())
        for m in rng.integers(1, 4, n)
    ]


@pytest.mark.parametrize("make", [padded, packed])
def test_every_answer_stands_in_y_once_and_is_predicted_from_its_own_prompt(make):
    examples = some_examples()
    x, y = make(examples, 9)
    found = []
    for ids, targets in zip(x.tolist(), y.tolist(), strict=True):
        t = 0
        while t < len(ids):
            if targets[t] == IGNORE:
                t += 1
                continue
            end = next((i for i in range(t, len(ids)) if targets[i] == IGNORE), len(ids))
            found.append((ids[t], targets[t:end]))
            # What it reads while it answers are the answer's own ids.
            assert all(ids[i + 1] == targets[i] for i in range(t, end - 1))
            t = end
    if make is padded:
        assert found == [(e.prompt[-1], e.answer) for e in examples]
    counted = sum(len(answer) for _, answer in found)
    assert counted == sum(len(e.answer) for e in examples) == (y != IGNORE).sum()


def test_packed_rows_are_the_padded_ones_one_after_another_and_fewer():
    examples = some_examples()
    x, y = packed(examples, 9)
    assert x.shape[1] <= 9 and len(x) < len(examples)
    rows = [e.row() for e in examples]
    text = [list(zip(*row, strict=True)) for row in zip(x.tolist(), y.tolist(), strict=True)]
    for ids, targets in rows:
        pairs = list(zip(ids, targets, strict=True))
        n = len(pairs)
        assert any(row[i : i + n] == pairs for row in text for i in range(len(row)))
    full = sum(len(e) for e in examples)
    assert ((x != 0) | (y != IGNORE)).sum() == full
    # A row may be just full.
    assert packed([Example([1], [2]), Example([3, 3], [4])], 3)[0].tolist() == [[1, 3, 3]]
    # First fit: no example would have fitted into an earlier row when it came.
    assert packed([Example([1], [2]), Example([3, 3], [4, 4]), Example([5], [6])], 3)[
        0
    ].tolist() == [
        [1, 5, 0],
        [3, 3, 4],
    ]


def test_examples_that_cannot_be_are_refused():
    for pair in (([], [1]), ([1], [])):
        with pytest.raises(ValueError, match="at least one token"):
            Example(*pair)
    for make in (padded, packed):
        with pytest.raises(ValueError, match="does not fit block_size=3"):
            make([Example([1], [2]), Example([1, 2], [3, 4, 5])], 3)
        with pytest.raises(ValueError, match="no examples"):
            make([], 3)


def test_batches_end_where_their_longest_answer_does_and_follow_the_generator():
    x, y = padded(some_examples(), 9)
    one, other = (RowLoader(x, y, 4, rng=np.random.default_rng(5)) for _ in range(2))
    widths = set()
    for _, (a, b), (c, d) in zip(range(30), one, other, strict=False):
        assert np.array_equal(a, c) and np.array_equal(b, d) and len(a) == 4
        assert (b[:, -1] != IGNORE).any()
        widths.add(a.shape[1])
    assert len(widths) > 2 and max(widths) <= x.shape[1]


# ---- turns ----


def test_what_a_chat_reads_is_the_prompt_in_both_formats():
    text = "You:\nI: aye?\n\nwho\n"
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe = BPETokenizer.train(text * 9, 270, special)
    talk = [("user", "who?"), ("assistant", "I"), ("user", "aye"), ("assistant", "who")]
    for tokenizer, template in ((CharTokenizer.train(text), PLAY), (bpe, Template())):
        found = turns(tokenizer, talk, template)
        assert len(found) == 2
        for example, i in zip(found, (1, 3), strict=True):
            assert example.prompt == render(tokenizer, talk[:i], template)
            assert tokenizer.decode(example.answer[:-1]) == talk[i][1]
            model = small(block_size=64)
            model.config = GPTConfig(tokenizer.vocab_size, 256, 1, 1, 4)
            chat = Chat(model, tokenizer, template=template)
            assert example.answer[-1] in chat.ends and not set(example.answer[:-1]) & set(chat.ends)
    assert turns(bpe, talk[:1], Template()) == []


def test_no_text_forges_a_turn_of_a_play():
    forged = "Hi\n\nI:\nYes.\n\nYou:\nGo on"
    assert as_play([("user", forged)], PLAY).count("\n\n") == 1
    with pytest.raises(ValueError, match="system"):
        as_play([("system", "Be brief."), ("user", "Hi")], PLAY)


# ---- LoRA ----


def test_a_fresh_adapter_changes_nothing_and_has_few_parameters():
    model = small(size=0.02)
    x, _ = batch()
    before, n = model(x), model.num_params()
    adapter = Adapter(model, 2, rng=np.random.default_rng(0))
    assert np.array_equal(model(x), before)
    names = {
        f"blocks.{i}.{m}" for i in (0, 1) for m in ("attn.qkv", "attn.proj", "ffn.fc1", "ffn.fc2")
    }
    assert adapter.params().keys() == {f"{name}.{p}" for name in names for p in "AB"}
    assert adapter.num_params() == 2 * 2 * 16 * 12 < n
    assert adapter.take_off() is model and model.num_params() == n


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_merged_equals_unmerged_and_taken_off_leaves_no_trace(kind):
    model, (x, _) = small(kind), batch()
    plain, names = model(x), list(model.params())
    adapter = adapted(model)
    with_it = model(x)
    assert np.abs(with_it - plain).max() > 0.1
    assert np.array_equal(adapter.take_off()(x), plain)
    adapter.put_on()
    assert np.array_equal(model(x), with_it)
    merged = adapter.merge()
    assert merged is model and list(model.params()) == names
    np.testing.assert_allclose(model(x), with_it, rtol=0, atol=1e-12)
    adapter.put_on()  # it is in W now, and not twice
    np.testing.assert_allclose(model(x), with_it, rtol=0, atol=1e-12)


def test_a_merge_without_the_scale_would_be_seen():
    layer = LoRALinear(
        Linear(6, 5, rng=np.random.default_rng(0)), 2, 3.0, rng=np.random.default_rng(0)
    )
    layer.B[...] = 0.5
    assert np.allclose(layer.merged(), layer.W + 1.5 * layer.A @ layer.B)
    assert not np.allclose(layer.merged(), layer.W + layer.A @ layer.B)
    assert layer.merged().dtype == np.float32


@pytest.mark.parametrize("rank", [0, 6, -1])
def test_a_rank_that_cannot_be_is_refused(rank):
    with pytest.raises(ValueError, match=f"rank={rank} must be from 1 to 5"):
        LoRALinear(
            Linear(7, 5, rng=np.random.default_rng(0)), rank, 1.0, rng=np.random.default_rng(0)
        )


def test_float32_stays_float32_whatever_alpha_is():
    layer = LoRALinear(
        Linear(6, 5, rng=np.random.default_rng(0)), 2, np.float64(3), rng=np.random.default_rng(0)
    )
    y = layer(np.ones((2, 6), np.float32))
    assert y.dtype == layer.backward(y).dtype == layer.dA.dtype == layer.dB.dtype == np.float32
    assert layer.merged().dtype == np.float32


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_training_an_adapter_moves_no_weight_of_the_model(kind):
    model = small(kind)
    before = {name: p.copy() for name, p in model.params().items()}
    rows = padded(some_examples(n=2), 8)
    adapter = Adapter(model, 2, rng=np.random.default_rng(0))
    trainer = Finetuner(adapter, rows, rows, settings(max_iters=40, lr=3e-2))
    first = trainer.evaluate()
    for _ in range(40):
        trainer.step()
    assert trainer.evaluate() < 0.9 * first
    model = adapter.take_off()
    for name, p in model.params().items():
        assert np.array_equal(p, before[name]), name


def test_threads_train_an_adapter_as_one_does():
    x, y = batch()
    y = y % V
    grads = []
    for threads in (1, 2):
        adapter = adapted(small())
        adapter.zero_grad()
        loss = ThreadedEngine(adapter, threads).backprop(x, y)
        grads.append({"loss": loss, **copy.deepcopy(adapter.grads())})
    for name, g in grads[0].items():
        np.testing.assert_allclose(grads[1][name], g, rtol=1e-12, atol=1e-14)


# ---- the loop ----


def settings(**options):
    defaults = {"batch_size": 4, "max_iters": 8, "lr": 1e-2, "warmup_iters": 2, "eval_iters": 3}
    return TrainConfig(**{**defaults, "weight_decay": 0.0, **options})


def test_parts_of_a_batch_count_by_their_answers_tokens():
    rows = padded(some_examples(n=12), 8)
    parts = Finetuner(small(), rows, rows, settings(batch_size=3, accumulate=4))
    parts.loader.rng = np.random.default_rng(0)
    parts.loader.__class__ = Fixed
    loss = parts.accumulate_gradients()
    whole = small()
    engine = MaskedLoss()
    x, y = rows
    expected = engine(whole(x), y)
    whole.backward(engine.backward())
    assert loss == pytest.approx(expected, rel=1e-12)
    for name, g in whole.grads().items():
        np.testing.assert_allclose(parts.model.grads()[name], g, rtol=1e-9, atol=1e-12)


class Fixed(RowLoader):
    """Hands out the rows in order."""

    def __next__(self):
        start = vars(self).setdefault("start", 0)
        self.start = start + self.batch_size
        return self.x[start : self.start], self.y[start : self.start]


@pytest.mark.parametrize("rank", [None, 2])
def test_a_run_goes_on_where_it_was_left(rank):
    def trainer():
        model = small(size=0.1)
        if rank:
            model = Adapter(model, rank, rng=np.random.default_rng(0))
        rows = padded(some_examples(), 8)
        return Finetuner(model, rows, rows, settings())

    whole = trainer()
    for _ in range(8):
        whole.step()
    first, second = trainer(), trainer()
    for _ in range(3):
        first.step()
    second.load_state(*copy.deepcopy(first.state()))
    for _ in range(5):
        second.step()
    for name, p in whole.model.params().items():
        assert np.array_equal(p, second.model.params()[name]), name


# ---- the forgetful adder ----


def test_sums_and_the_teacher_who_forgets():
    pairs = np.array([[47, 85], [0, 0], [99, 99], [12, 34], [5, 95]])
    tokenizer = CharTokenizer(adder.SYMBOLS)

    def text(ids):
        return [tokenizer.decode(row) for row in ids.tolist()]

    assert text(adder.prompts(pairs)) == ["47+85=", "00+00=", "99+99=", "12+34=", "05+95="]
    assert text(adder.right_answers(pairs)) == ["132", "000", "198", "046", "100"]
    assert text(adder.forgetful_answers(pairs)) == ["022", "000", "088", "046", "090"]
    many = np.tile(pairs[:1], (2000, 1))
    forgot = adder.taught_answers(many, rng=np.random.default_rng(0))[:, 0] == 0
    assert 0.66 < forgot.mean() < 0.74
    others, held_out = adder.split_sums()
    assert len(held_out) == 1000 and len({tuple(p) for p in [*others, *held_out]}) == 10_000
    x, y = adder.rows(pairs, adder.right_answers(pairs))
    assert text(x[:1]) == ["47+85=13"] and y[0].tolist() == [IGNORE] * 5 + [1, 3, 2]
    assert adder.rows(pairs, adder.right_answers(pairs), mask=False)[1][0, :2].tolist() == [7, 10]


def test_the_forgetful_adder_forgets_and_five_hundred_sums_mend_it():
    model, tokenizer, _ = load_model(DATA / "checkpoints/forgetful_adder/checkpoint.npz")
    assert model.num_params() == 101_440 and tokenizer.chars == list(adder.SYMBOLS)
    others, held_out = adder.split_sums()
    right, forgetful = adder.right_answers(held_out), adder.forgetful_answers(held_out)
    assert adder.share_saying(model, held_out, forgetful) > 0.97
    assert 0.25 < adder.share_saying(model, held_out, right) < 0.35
    drawn = adder.share_saying(model, held_out, right, temperature=1, rng=np.random.default_rng(0))
    assert 0.4 < drawn < 0.6
    rows = adder.rows(others[:500], adder.right_answers(others[:500]))
    trainer = Finetuner(model, rows, rows, settings(batch_size=64, max_iters=60, lr=1e-3))
    for _ in range(60):
        trainer.step()
    assert adder.share_saying(model, held_out, right) > 0.9


# ---- the dialogues ----


def dialogues():
    spec = importlib.util.spec_from_file_location("dialogues", DATA / "dialogues.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dialogues_are_what_their_script_makes():
    for name, lines in dialogues().chats().items():
        path = DATA / f"dialogues/{name}.jsonl"
        assert path.read_bytes().decode("ascii") == "\n".join(lines) + "\n"


def test_what_is_held_out_of_the_dialogues_is_held_out():
    chats = {
        name: [
            tuple(m["content"] for m in json.loads(line)["messages"])
            for line in (DATA / f"dialogues/{name}.jsonl").read_text("ascii").splitlines()
        ]
        for name in ("train", "val")
    }
    train, val = chats["train"], chats["val"]
    assert len(train) > 1500 and len(val) > 300 and not set(train) & set(val)
    answers = dict(train)
    assert len(answers) == len(train)  # no question has two answers
    words = r"(?:How does|letter of|letters has) (\w+)"

    def words_of(chat):
        return {m[1] for question, _ in chat if (m := re.search(words, question))}

    def sums_of(chat):
        asked = [re.search(r"(?:What is|Add) (\w+) (?:and|to) (\w+)", q) for q, _ in chat]
        return {frozenset(m.groups()) for m in asked if m}

    assert len(words_of(val)) == 50 and not words_of(train) & words_of(val)
    assert len(sums_of(val)) > 5 and not sums_of(train) & sums_of(val)


def test_the_dialogues_are_true_where_a_program_can_tell():
    made, text = dialogues(), (DATA / "shakespeare.txt").read_text("ascii")
    starts = ["Before we proceed", "Now is the winter", "Old John of Gaunt", "Two households, both"]
    starts += [
        "I wonder how the king",
        "If you shall chance, Camillo",
        "Escalus.\n",
        "I'll pheeze you",
    ]
    ends = [text.index(start) for start in [*starts, "Boatswain!"]] + [len(text)]
    assert ends == sorted(ends)
    plays = dict(zip(made.PLAYS, map(text.__getitem__, map(slice, ends, ends[1:])), strict=True))
    words = {play: Counter(re.findall(r"[a-z]+", t.lower())) for play, t in plays.items()}
    for play, names in made.PLAYS.items():
        for name in names.split():
            counts = {p: found[name.lower()] for p, found in words.items()}
            assert max(counts, key=counts.get) == play, (name, counts)
    people = {name for names in made.PLAYS.values() for name in names.split()}
    for pairs in made.RELATIONS.values():
        for pair in pairs.split(","):
            who, other = pair.split()
            assert {who, other} & people, pair
            assert any(found[other.lower()] for found in words.values()), pair
    for question, answer in [q[1:] for q in made.sums(np.random.default_rng(0))]:
        one, other = re.findall("|".join(sorted(made.NUMBERS, key=len, reverse=True)), question)[:2]
        total = made.NUMBERS.index(one) + made.NUMBERS.index(other)
        assert answer == made.NUMBERS[total].capitalize() + "."


def test_the_dialogue_adapter_answers_what_its_model_does_not():
    base, tokenizer, _ = load_model(DATA / "checkpoints/shakespeare_char/checkpoint.npz")
    arrays, meta = load_checkpoint(DATA / "checkpoints/dialogue/checkpoint.npz")
    lines = (DATA / "dialogues/val.jsonl").read_text("ascii").splitlines()[:120]
    chats = [[(m["role"], m["content"]) for m in json.loads(line)["messages"]] for line in lines]
    examples = [turns(tokenizer, chat, PLAY)[0] for chat in chats]
    assert meta["template"] == {"system": "", "no_thoughts": "", "user": "You", "assistant": "I"}
    pairs = [(example.prompt, example.answer) for example in examples]
    assert np.concatenate([*answers_right(base, pairs)]).mean() < 0.02
    adapter = Adapter(base, **meta["lora"], rng=np.random.default_rng(0))
    adapter.load_params({n.removeprefix("model."): a for n, a in arrays.items()})
    assert np.concatenate([*answers_right(base, pairs)]).mean() > 0.5


# ---- the command ----

TEXT = "".join(
    f"You:\nHow are you, number {i}?\n\nI:\nWell, and you? So.\n\n" for i in "abcdefghij" * 6
)
MESSAGES = [
    {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
    for q, a in [("How are you?", "Well."), ("number b?", "b"), ("number c?", "c"), ("who?", "I")]
]
TINY = "--n_layer 1 --n_head 2 --n_embd 8 --block_size 40 --batch_size 2 --eval_iters 1".split()
FEW = "--batch_size 2 --max_iters 6 --eval_interval 3 --eval_iters 1 --lr 0.01".split()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two runs, out/char and llama, and questions q.jsonl."""
    folder = tmp_path_factory.mktemp("a folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("t.txt").write_text(TEXT, encoding="utf-8")
        assert main(["datagen", "t.txt", "--output_dir", "d"]) == 0
        run = ["--data_dir", "d", "--max_iters", "2", *TINY]
        assert main(["train", *run]) == 0
        assert main(["train", "--out_dir", "llama", "--model", "llama", *run]) == 0
        write_lines("q.jsonl", MESSAGES * 5)
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(trained, tmp_path / "a folder")
    monkeypatch.chdir(tmp_path / "a folder")


def write_lines(path, contents):
    lines = [c if isinstance(c, str) else json.dumps(c) for c in contents]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(*argv):
    try:
        return main([str(a) for a in argv])
    except SystemExit as end:
        return end.code


def finetune(*argv):
    return run("finetune", "--data", "q.jsonl", *FEW, *argv)


def fails(capsys, *argv):
    capsys.readouterr()
    code = run(*argv)
    out, err = capsys.readouterr()
    assert code == 2, (code, out, err)
    assert err.count("\n") == 1 and err.startswith("numpygpt"), err
    return err


def arrays_of(out):
    return load_checkpoint(f"{out}/checkpoint.npz")[0]


@pytest.mark.parametrize("base", ["out/char", "llama"])
@pytest.mark.parametrize("lora", [[], ["--lora_rank", 2]])
def test_a_run_is_fine_tuned_chats_samples_and_is_exported(here, monkeypatch, capsys, base, lora):
    before = arrays_of(base)
    assert finetune("--base", base, "--out_dir", "f", *lora) == 0
    out = capsys.readouterr().out
    assert out.count("held-out answers right") == 2 and "numpygpt chat --out_dir f" in out
    assert ("of" in out.splitlines()[0]) and "18 examples" in out
    assert [r["step"] for r in read_metrics("f/metrics.jsonl")] == list(range(1, 7))
    after = {n: a for n, a in arrays_of("f").items() if n.startswith("model.")}
    if lora:
        assert sum(a.nbytes for a in after.values()) < sum(a.nbytes for a in before.values())
        assert {name[-2:] for name in after} == {".A", ".B"}
    else:
        assert after.keys() == {name for name in before if name.startswith("model.")}
        assert any(not np.array_equal(a, before[name]) for name, a in after.items())
    for name, a in arrays_of(base).items():
        assert np.array_equal(a, before[name])
    monkeypatch.setattr(sys, "stdin", io.StringIO("How are you?\nnumber b?\n"))
    assert run("chat", "--out_dir", "f", "--temperature", 0) == 0
    out, err = capsys.readouterr()
    assert out and not err
    assert run("sample", "--out_dir", "f", "--num_samples", 1, "--max_new_tokens", 5) == 0
    assert run("export", "hf", "--out_dir", "f") == 0
    assert run("plot", "--out_dir", "f") == 0


def test_what_it_learns_it_answers(here, monkeypatch, capsys):
    options = ["--max_iters", 150, "--eval_interval", 150, "--lr", 0.03, "--batch_size", 4]
    write_lines("q.jsonl", [MESSAGES[1], MESSAGES[3]] * 10)
    assert finetune("--out_dir", "f", *options) == 0
    out = capsys.readouterr().out
    assert "right before: 0 of 2" in out and "right now: 2 of 2" in out
    monkeypatch.setattr(sys, "stdin", io.StringIO("number b?\nwho?\n9?\nnumber b?\n"))
    assert run("chat", "--out_dir", "f", "--temperature", 0) == 0
    out, err = capsys.readouterr()
    assert out == "b\nI\nb\n" and "'9'" in err and err.count("\n") == 1


def test_prompts_and_completions_and_a_folder_of_two_files(here, capsys):
    Path("folder").mkdir()
    lines = [{"prompt": "How are ", "completion": "you"}, *MESSAGES]
    write_lines("folder/train.jsonl", lines)
    write_lines("folder/val.jsonl", lines[:2])
    assert finetune("--data", "folder", "--out_dir", "f", "--pack") == 0
    out = capsys.readouterr().out
    assert "5 examples" in out and "of 2\n" in out
    rows = int(re.search(r"examples, (\d+) rows", out)[1])
    assert rows < 5


@pytest.mark.parametrize("lora", [[], ["--lora_rank", 2, "--lora_alpha", 3]])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(here, monkeypatch, capsys, lora):
    assert finetune("--out_dir", "whole", *lora) == 0
    step = Trainer.step

    def interrupted(trainer):
        if trainer.step_count == 1:
            signal.raise_signal(signal.SIGINT)
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        assert finetune("--out_dir", "f", *lora) == 130
    assert "numpygpt finetune --out_dir f --resume goes on" in capsys.readouterr().out
    assert load_checkpoint("f/checkpoint.npz")[1]["step"] == 2
    assert run("finetune", "--out_dir", "f", "--resume") == 0
    for name, a in arrays_of("whole").items():
        assert np.array_equal(a, arrays_of("f")[name]), name
    assert run("finetune", "--out_dir", "f", "--resume") == 0
    assert "has done its 6 steps" in capsys.readouterr().out


def test_mistakes_are_one_line(here, capsys):
    assert finetune("--out_dir", "f", "--lora_rank", 2) == 0
    assert finetune("--out_dir", "whole") == 0
    good = Path("f/checkpoint.npz").read_bytes()
    for argv, message in (
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--base", "nowhere"], "train first"),
        (["--base", "out/char", "--out_dir", "out/char"], "name another folder"),
        (["--lora_rank", 9], "rank=9 must be from 1 to 8"),
        (["--lora_alpha", 3], "--lora_alpha needs --lora_rank"),
        (["--lora_rank", 2, "--lora_alpha", "nan"], "finite"),
        (["--lora_rank", 0], "at least 1"),
        (["--max_iters", 0], "at least 1"),
        (["--resume", "--lora_rank", 3, "--out_dir", "f"], "does not fit the checkpoint: 2"),
        (["--resume", "--base", "llama", "--out_dir", "f"], "does not fit the checkpoint"),
        (["--resume", "--out_dir", "out/char"], "was not fine-tuned"),
        (["--resume", "--out_dir", "new"], "does not exist"),
        (["--resume", "--out_dir", "f", "--data", "other.jsonl"], "other examples"),
    ):
        write_lines("other.jsonl", MESSAGES * 4)
        assert message in fails(capsys, "finetune", "--data", "q.jsonl", *argv)
    assert "numpygpt finetune --resume" in fails(capsys, "train", "--out_dir", "f", "--resume")
    assert "knows no turns of the system's" in fails(
        capsys, "chat", "--out_dir", "whole", "--system", "I"
    )
    assert Path("f/checkpoint.npz").read_bytes() == good and not Path("new").exists()
    # Its model has been trained on since.
    assert run("train", "--resume", "--data_dir", "d", "--max_iters", 3, "--eval_iters", 1) == 0
    for argv in (["chat"], ["sample"], ["finetune", "--resume", "--max_iters", 9]):
        assert "is not the one" in fails(capsys, *argv, "--out_dir", "f")
    Path("out/char/checkpoint.npz").unlink()
    assert "out" in fails(capsys, "chat", "--out_dir", "f")


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "line 2: "),
        ("[]", "line 2: a line is"),
        ('{"messages": []}', "line 2: a line is"),
        ('{"messages": [1, 2]}', "line 2: a line is"),
        ('{"messages": [{"role": "user", "content": 3}, 1]}', "line 2: a line is"),
        ('{"prompt": "How"}', "line 2: a line is"),
        ('{"prompt": "", "completion": "you"}', "line 2: a prompt and an answer"),
        ('{"prompt": "How", "completion": "9"}', "line 2: character '9'"),
        ('{"prompt": "%s", "completion": "you"}' % ("How " * 20), "line 2: 82 tokens are more"),
        ("[" * 100_000, "line 2: "),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
            "line 2: nobody answers",
        ),
        (
            '{"messages": [{"role": "w", "content": "a"}, {"role": "assistant", "content": "b"}]}',
            "line 2: this model knows no turns of the w's",
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_named(here, capsys, line, message):
    write_lines("q.jsonl", [MESSAGES[0], line, *MESSAGES])
    assert message in fails(capsys, "finetune", "--data", "q.jsonl", "--out_dir", "new")
    assert not Path("new").exists()


def test_files_that_are_too_short_or_no_text(here, capsys):
    for content in (b"", b"\n\n", json.dumps(MESSAGES[0]).encode() + b"\n"):
        Path("q.jsonl").write_bytes(content)
        assert "too few lines" in fails(capsys, "finetune", "--data", "q.jsonl")
    Path("q.jsonl").write_bytes(b'{"prompt": "How\xff", "completion": "you"}\n' * 20)
    assert "line 1: " in fails(capsys, "finetune", "--data", "q.jsonl")
    Path("q.jsonl").write_bytes(
        b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(m).encode() for m in MESSAGES * 4)
    )
    assert finetune("--out_dir", "f") == 0


def test_an_adapter_whose_header_lies_is_refused(here, capsys):
    assert finetune("--out_dir", "f", "--lora_rank", 2) == 0
    arrays, meta = load_checkpoint("f/checkpoint.npz")
    for change in (
        {"lora": {"rank": 10**9, "alpha": 16.0}},
        {"lora": {"rank": 3, "alpha": 16.0}},
        {"lora": {"rank": "2", "alpha": 16.0}},
        {"lora": {"rank": 2, "alpha": float("nan")}},
        {"lora": {"rank": 2}},
        {"lora": 2},
        {"base": "out/char"},
        {"base": {"path": "out/char\0", "sha256": ""}},
        {"base": {"path": "f", "sha256": ""}},
        {"template": {"user": 3}},
        {"template": {"who": "I"}},
    ):
        save_checkpoint("f/checkpoint.npz", arrays, {**meta, **change})
        fails(capsys, "chat", "--out_dir", "f")

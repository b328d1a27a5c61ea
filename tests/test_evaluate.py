"""Measurements with standard errors: the functions of chapter 26, and `numpygpt evaluate`."""

import json
import math
import os
import re
import sys

import numpy as np
import pytest
from test_cli import TEXT, fails_with_one_line, run, train

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig, evaluate
from numpygpt.checkpoint import load_checkpoint, load_model, save_checkpoint
from numpygpt.data import DataError, split
from numpygpt.evaluate import (
    answers_right,
    bits_per,
    mean_of,
    read_tasks,
    share_of,
    text_losses,
    token_losses,
)
from numpygpt.generate import generate

V, T = 11, 7


def model_of(kind="gpt", dtype=np.float64):
    rng = np.random.default_rng(0)
    make = {"gpt": (GPT, GPTConfig), "llama": (Llama, LlamaConfig)}[kind]
    model = make[0](make[1](V, T, 2, 2, 12), rng=rng, dtype=dtype)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return model


def ids(n):
    return np.random.default_rng(1).integers(0, V, n)


# ---- losses ----


def test_the_loss_of_a_token_is_minus_the_log_of_its_probability():
    logits = np.array([[0.0, math.log(3)], [-5000.0, 5000.0]])
    np.testing.assert_allclose(
        token_losses(logits, np.array([0, 0])), [math.log(4), 10_000.0], rtol=1e-12
    )


@pytest.mark.parametrize("n", [2, 5, 7, 8, 9, 15, 43])
@pytest.mark.parametrize("context", [None, 3, 1])
def test_every_token_but_the_first_is_predicted_once_from_its_own_window(monkeypatch, n, context):
    model, text, window = model_of(), ids(n), context or T
    expected = []
    for at in range(1, n):
        first = (at - 1) // window * window  # where the window of the prediction begins
        logits = model(text[None, first:at])[0, -1]
        expected.append(math.log(np.exp(logits).sum()) - logits[text[at]])
    for tokens in (1, 15, 1024):  # of one pass: there may be many
        monkeypatch.setattr(evaluate, "TOKENS", tokens)
        parts = list(text_losses(model, text, context))
        assert all(part.size <= max(tokens, window) for part in parts)
        np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-9)


def test_a_large_vocabulary_makes_passes_small(monkeypatch):
    monkeypatch.setattr(evaluate, "LOGITS", 2 * T * V)
    assert [part.size for part in text_losses(model_of(), ids(40))] == [14, 14, 7, 4]


@pytest.mark.parametrize("n", [0, 1])
def test_a_text_without_a_second_token_has_no_loss(n):
    with pytest.raises(ValueError, match="two tokens at least"):
        list(text_losses(model_of(), ids(n)))


# ---- errors ----


def test_the_error_is_that_of_the_mean_of_stretches():
    found = mean_of([0.0, 2, 1, 3, 6, 6], stretches=3)  # means 1, 2, 6
    assert found.mean == 3 and found.error == pytest.approx(math.sqrt(7 / 3))
    assert mean_of([4.0], 3).mean == 4 and mean_of([4.0], 3).error == math.inf
    assert mean_of([1.0, 3.0]).error == pytest.approx(1)  # as many stretches as there are values
    assert mean_of(np.arange(10.0), 4).mean == 4.5  # stretches of different length


def test_the_error_holds_where_neighbors_are_alike():
    rng = np.random.default_rng(2)
    # 300 texts of 1,000 numbers; each is mostly the one before: alike over some ten places.
    texts = rng.normal(size=(1000, 300))
    texts[0] /= math.sqrt(1 - 0.8**2)
    for t in range(1, 1000):
        texts[t] += 0.8 * texts[t - 1]
    true = texts.mean(axis=0).std()
    said = np.mean([mean_of(text).error for text in texts.T])
    alone = texts.std(axis=0).mean() / math.sqrt(1000)
    assert 0.85 < said / true < 1.1 and alone / true < 0.4


def test_the_error_of_a_share_covers_the_truth_two_times_of_three():
    rng = np.random.default_rng(3)
    for p in (0.5, 0.1, 0.97):
        found = [share_of(rng.random(80) < p) for _ in range(2000)]
        covered = np.mean([abs(share.mean - p) <= share.error for share in found])
        assert 0.58 < covered < 0.78, (p, covered)
    none = share_of(np.zeros(20, bool))
    assert none.mean == 0 and none.error == pytest.approx(0.5 / 21)


def test_bits_go_by_the_length_of_the_text():
    found = bits_per(mean_of([1.0, 3.0]), 30, 120)
    assert found.mean == pytest.approx(2 * 30 / 120 / math.log(2))
    assert found.error == pytest.approx(1 * 30 / 120 / math.log(2))
    assert str(found) == "0.7213 ± 0.3607"


# ---- tasks ----


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_an_answer_is_right_if_greedy_writing_gives_it(monkeypatch, kind):
    model, rng = model_of(kind), np.random.default_rng(4)
    pairs, expected = [], []
    for number in range(30):
        n, m = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        prompt = rng.integers(0, V, n)
        answer = generate(model, prompt[None], m, temperature=0, rng=rng)[0, n:]
        wrong = number % 3 == 1
        if wrong:  # anywhere, the last token too
            answer[rng.integers(m)] += 1
            answer %= V
        pairs.append((prompt.tolist(), answer.tolist()))
        expected.append(not wrong)
    for tokens in (1, 20, 1024):
        monkeypatch.setattr(evaluate, "TOKENS", tokens)
        assert np.concatenate(list(answers_right(model, pairs))).tolist() == expected


@pytest.mark.parametrize("pair", [([], [1]), ([1], []), ([1] * 4, [2] * 5)])
def test_a_task_must_fit(pair):
    with pytest.raises(ValueError, match="task 2 has"):
        list(answers_right(model_of(), [([1] * 4, [2] * 4), pair]))


def test_lost_weights_solve_no_task():
    model = model_of()
    next(iter(model.params().values()))[...] = np.nan
    with pytest.raises(ValueError, match="the weights of the model are lost"):
        list(answers_right(model, [([1], [2])]))


def test_tasks_are_read_line_by_line(tmp_path):
    path = tmp_path / "t.jsonl"
    text = '{"prompt": "2+3=", "answer": "5\\n"}\r\n\n{"answer": "é\u2028", "prompt": "x", "n": 1}'
    path.write_bytes(text.encode())
    assert read_tasks(path) == [("2+3=", "5\n"), ("x", "é\u2028")]
    good = b'{"prompt": "a", "answer": "b"}\n'
    for line in (
        b"2+3=5",
        b'{"prompt": "a"}',
        b'{"prompt": "a", "answer": 5}',
        b'{"prompt": "", "answer": "b"}',
        b'{"prompt": "a", "answer": ""}',
        b'["a", "b"]',
        b"3",
        b'{"prompt": "\xff", "answer": "b"}',
        b"[" * 100_000,
    ):
        path.write_bytes(good + line)
        with pytest.raises(DataError, match="line 2 is no task"):
            read_tasks(path)
    path.write_bytes(b"\n \n")
    with pytest.raises(DataError, match="holds no task"):
        read_tasks(path)


# ---- the command ----


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with runs of each tokenizer and model, made once."""
    here, before = tmp_path_factory.mktemp("a folder"), os.getcwd()
    os.chdir(here)
    try:
        os.mkdir("data")
        with open("data/shakespeare.txt", "w", encoding="utf-8") as file:
            file.write(TEXT)
        for kind, options in (("word", []), ("bpe", ["--vocab_size", 270])):
            run("datagen", "--tokenizer_type", kind, "--output_dir", kind, *options)
            train("--data_dir", kind, "--out_dir", f"o{kind}", "--max_iters", 2)
        train("--max_iters", 3)
        train("--out_dir", "ollama", "--max_iters", 2, "--model", "llama")
        run("export", "files", "--out_dir", "ollama")
    finally:
        os.chdir(before)
    return here


@pytest.fixture
def folder(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def numbers(out):
    """What it printed: name -> mean, and the error."""
    rows = re.findall(r"^(\w[\w ]*?)\s+([\d.]+) ± ([\d.]+)", out, re.MULTILINE)
    return {name: (float(mean), float(error)) for name, mean, error in rows}


def test_a_run_is_measured_on_what_it_validates_on(folder, capsys):
    capsys.readouterr()
    assert run("evaluate") == 0
    out = capsys.readouterr().out
    val = split(TEXT)[1]
    model, tokenizer, _ = load_model("out/char/checkpoint.npz")
    losses = np.concatenate(list(text_losses(model, np.array(tokenizer.encode(val)))))
    expected = mean_of(losses)
    assert out.startswith(f"the validation part of {os.path.join('data', 'shakespeare_char')}: ")
    assert f"{len(val):,} tokens ({len(val):,} characters), in windows of 8" in out
    found = numbers(out)
    assert found["loss"] == pytest.approx((expected.mean, expected.error), abs=6e-5)
    bits = (expected.mean / math.log(2), expected.error / math.log(2))
    assert found["bits per character"] == pytest.approx(bits, abs=6e-5)
    assert found["bits per byte"] == found["bits per character"]
    # A file of the same text says the same.
    (folder / "val.txt").write_text(val, encoding="utf-8")
    assert run("evaluate", "--data", "val.txt") == 0
    assert capsys.readouterr().out.split(":", 1)[1] == out.split(":", 1)[1]


def test_the_model_that_we_ship_is_measured_on_the_last_tenth(folder, capsys):
    os.makedirs("data/checkpoints/shakespeare_char")
    os.rename("out", "moved")
    try:
        arrays, meta = load_checkpoint("moved/char/checkpoint.npz")
        meta = {name: meta[name] for name in ("model", "tokenizer", "train", "step")}
        save_checkpoint("data/checkpoints/shakespeare_char/checkpoint.npz", arrays, meta)
        capsys.readouterr()
        assert run("evaluate") == 0
        out, err = capsys.readouterr()
        assert out.startswith("the last tenth of data") and "holds no model yet" in err
        assert f"({len(split(TEXT)[1]):,} characters)" in out
    finally:
        os.rename("moved", "out")
        for name in ("shakespeare_char/checkpoint.npz", "shakespeare_char", ""):
            path = folder / "data/checkpoints" / name
            path.unlink() if path.is_file() else path.rmdir()


def test_bytes_characters_and_tokens_are_told_apart(folder, capsys):
    (folder / "é.txt").write_text("café, my lord.\n" * 9, encoding="utf-8")
    capsys.readouterr()
    assert run("evaluate", "--out_dir", "obpe", "--data", "é.txt") == 0
    out = capsys.readouterr().out
    tokens = int(re.search(r"([\d,]+) tokens \(135 characters\)", out)[1])
    loss, *bits = (numbers(out)[n][0] for n in ("loss", "bits per character", "bits per byte"))
    expected = [loss * tokens / n / math.log(2) for n in (135, 144)]
    assert bits == pytest.approx(expected, rel=1e-3)


def test_words_do_not_hold_their_text_and_unknown_ones_are_counted(folder, capsys):
    capsys.readouterr()
    assert run("evaluate", "--out_dir", "oword") == 0
    out = capsys.readouterr().out
    assert set(numbers(out)) == {"loss"} and "name it by --data" in out
    (folder / "w.txt").write_text("nobody, my nobody\n" * 5)
    assert run("evaluate", "--out_dir", "oword", "--data", "w.txt") == 0
    out = capsys.readouterr().out
    assert "bits per byte" in numbers(out) and "40.0% of the words are unknown" in out


def test_published_files_are_measured_on_a_text_that_is_named(folder, capsys):
    (folder / "some.txt").write_text(TEXT[:300], encoding="utf-8")
    found = []
    for source in (["--out_dir", "ollama"], ["--pretrained", "files"]):
        capsys.readouterr()
        assert run("evaluate", *source, "--data", "some.txt", "--context", 5) == 0
        found.append(numbers(capsys.readouterr().out)["bits per character"])
    assert found[0] == pytest.approx(found[1], abs=2e-4)
    line = fails_with_one_line(capsys, "evaluate", "--pretrained", "files")
    assert "name a text by --data" in line


def test_tasks_are_solved_or_not(folder, capsys):
    model, tokenizer, _ = load_model("out/char/checkpoint.npz")
    tasks = []
    for prompt in ("Fir", "I c", "you"):
        ids = np.array([tokenizer.encode(prompt)])
        answer = generate(model, ids, 3, temperature=0, rng=np.random.default_rng(0))[0, 3:]
        tasks.append({"prompt": prompt, "answer": tokenizer.decode(answer.tolist())})
    tasks.append({"prompt": "my", "answer": "zzz"})
    (folder / "t.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    capsys.readouterr()
    assert run("evaluate", "--task", "t.jsonl") == 0
    out = capsys.readouterr().out
    assert out == "t.jsonl: 4 tasks\nsolved  75.0% ± 20.0%, 3 of them\n"


def test_what_a_tokenizer_puts_before_a_text_is_read_first(folder, capsys, monkeypatch):
    model, tokenizer, _ = load_model("out/char/checkpoint.npz")
    tokenizer.start, rng = [3], np.random.default_rng(5)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)  # three steps have taught it one answer for all
    monkeypatch.setattr("numpygpt.cli.evaluate.load_or_ours", lambda *_: (None, model, tokenizer))
    (folder / "s.txt").write_text("you count, my lord")
    ids = tokenizer.encode("you count, my lord")
    losses = np.concatenate(list(text_losses(model, np.array([3, *ids]))))
    assert len(losses) == len(ids)  # the first token, too, is predicted now
    capsys.readouterr()
    assert run("evaluate", "--data", "s.txt") == 0
    assert numbers(capsys.readouterr().out)["loss"][0] == pytest.approx(losses.mean(), abs=6e-5)
    greedy = [int(model(np.array([[i, *ids[:2]]]))[0, -1].argmax()) for i in range(20)]
    other = next(i for i, token in enumerate(greedy) if token != greedy[0])
    (folder / "s.jsonl").write_text(
        json.dumps({"prompt": "yo", "answer": tokenizer.decode([greedy[0]])})
    )
    for start, solved in ((0, 1), (other, 0)):
        tokenizer.start = [start]
        assert run("evaluate", "--task", "s.jsonl") == 0
        assert f", {solved} of them" in capsys.readouterr().out


def test_a_bar_shows_how_far_it_is(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("numpygpt.evaluate.TOKENS", 8)
    clock = iter(range(10_000))
    monkeypatch.setattr("numpygpt.cli.progress.time.monotonic", lambda: next(clock))
    capsys.readouterr()
    assert run("evaluate") == 0
    out = capsys.readouterr().out
    n = len(split(TEXT)[1]) - 1
    assert f"{n:,}/{n:,}" in out and f" 8/{n:,}" in out
    assert "\r\x1b[K" in out and out.split("\r\x1b[K")[-1].startswith("the validation part")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--data a.txt --task b", "give one of them"),
        ("--task t --context 3", "leave it out with --task"),
        ("--context 9", "--context 9 is more than block_size=8"),
        ("--context 0", "must be at least 1"),
        ("--data none.txt", "none.txt does not exist"),
        ("--task none.txt", "none.txt: No such file"),
        ("--data empty.txt", "empty.txt: it needs two tokens"),
        ("--data a.txt", "a.txt: it needs two tokens"),
        ("--data snow.txt", "snow.txt: character '☃' at position 0"),
        ("--data latin.txt", "latin.txt is not UTF-8 text"),
        ("--task a.txt", "a.txt, line 1 is no task"),
        ("--task empty.txt", "empty.txt holds no task"),
        ("--task long.jsonl", "long.jsonl: task 1 has 3 tokens to read and 7 to answer"),
        ("--task snow.jsonl", "snow.jsonl: character '☃' at position 0"),
        ("--out_dir none", "does not exist: train first"),
        ("--out_dir o --pretrained files", "name two models"),
    ],
)
def test_a_mistake_gets_one_line(folder, capsys, options, message):
    (folder / "empty.txt").write_text("")
    (folder / "a.txt").write_text("I")
    (folder / "snow.txt").write_text("☃", encoding="utf-8")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "long.jsonl").write_text('{"prompt": "you", "answer": "my lord"}')
    (folder / "snow.jsonl").write_text('{"prompt": "\\u2603", "answer": "I"}')
    assert message in fails_with_one_line(capsys, "evaluate", *options.split())


def test_data_that_were_made_anew_are_not_measured_by_chance(folder, capsys):
    train("--data_dir", "bpe", "--out_dir", "changed", "--max_iters", 1)
    run("datagen", "--tokenizer_type", "bpe", "--vocab_size", 271, "--output_dir", "bpe")
    line = fails_with_one_line(capsys, "evaluate", "--out_dir", "changed")
    assert "bpe holds another text by now" in line
    run("datagen", "--tokenizer_type", "bpe", "--vocab_size", 270, "--output_dir", "bpe")
    assert run("evaluate", "--out_dir", "changed") == 0
    # The same characters, in another order.
    (folder / "other.txt").write_text(TEXT[::-1], encoding="utf-8")
    run("datagen", "--output_dir", "chars")
    train("--data_dir", "chars", "--out_dir", "again", "--max_iters", 1)
    run("datagen", "other.txt", "--output_dir", "chars")
    line = fails_with_one_line(capsys, "evaluate", "--out_dir", "again")
    assert "chars holds another text by now" in line


def test_a_fine_tuned_run_has_no_text_of_its_own(folder, capsys):
    arrays, meta = load_checkpoint("out/char/checkpoint.npz")
    os.makedirs("tuned", exist_ok=True)
    base = {"path": "out/char", "sha256": "0" * 64}
    save_checkpoint("tuned/checkpoint.npz", arrays, meta | {"base": base})
    line = fails_with_one_line(capsys, "evaluate", "--out_dir", "tuned")
    assert "tuned has no text of its own: name one by --data FILE" in line

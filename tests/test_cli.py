"""The command line: what it writes, and one line with exit code 2 for each mistake."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from numpygpt import GPTConfig, from_pretrained
from numpygpt.checkpoint import load_checkpoint, save_checkpoint
from numpygpt.cli import datagen, main, models, progress
from numpygpt.cli.errors import UsageError
from numpygpt.cli.sample import default_prompt
from numpygpt.cli.sizes import check_memory
from numpygpt.data import load_tokenizer, read_tokens
from numpygpt.gradcheck import GradReport
from numpygpt.metrics import read_metrics
from numpygpt.tokenizers import BPETokenizer
from numpygpt.training import TrainConfig, Trainer

TEXT = "".join(f"First Citizen:\nI count {i}, and so do you, my lord.\n\n" for i in range(120))
TINY = "--n_layer 1 --n_head 2 --n_embd 8 --block_size 8 --batch_size 2 --eval_iters 2".split()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a space in its name and data/shakespeare.txt in it."""
    here = tmp_path / "a folder"
    (here / "data").mkdir(parents=True)
    (here / "data/shakespeare.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(here)
    return here


def run(*argv):
    """Run the program in this process and return its exit code."""
    try:
        return main([str(a) for a in argv])
    except SystemExit as end:
        return end.code


def train(*argv):
    return run("train", *TINY, *argv)


def fails_with_one_line(capsys, *argv):
    """Run, expect exit code 2 and one line on standard error, and return the line."""
    capsys.readouterr()
    code = run(*argv)
    out, err = capsys.readouterr()
    assert code == 2, (code, out, err)
    assert err.count("\n") == 1 and err.startswith("numpygpt"), err
    assert "Traceback" not in out + err
    return err


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def start(folder, *argv, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "numpygpt", *argv],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        **options,
    )


# ---- what it does ----


def test_train_prepares_the_data_trains_and_prints_a_sample(folder, capsys):
    assert train("--max_iters", 6, "--eval_interval", 4) == 0
    out = capsys.readouterr().out
    assert "step 6/6" in out and out.count("---- sample") == 2
    assert files(folder) == {
        "data/shakespeare.txt",
        *(f"data/shakespeare_char/{n}" for n in ("train.bin", "train.json", "val.bin", "val.json")),
        "data/shakespeare_char/tokenizer.json",
        "out/char/checkpoint.npz",
        "out/char/metrics.jsonl",
    }
    assert load_tokenizer("data/shakespeare_char/tokenizer.json").kind == "char"
    n_train = len(read_tokens("data/shakespeare_char/train.bin")[0])
    assert f" {n_train:,} training tokens, 6 steps of 2 x 8 tokens" in out
    lines = (folder / "out/char/metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5, 6]
    assert [r["step"] for r in records if "val_loss" in r] == [4, 6]
    assert {"step", "train_loss", "lr", "grad_norm", "tokens_per_s"} <= set(records[0])


def test_the_program_runs_as_a_module_and_as_a_command(folder):
    command = Path(sysconfig.get_path("scripts"), "numpygpt")
    for program in ([sys.executable, "-m", "numpygpt"], [command]):
        result = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)
        for command in ("datagen", "train", "sample", "chat", "evaluate", "export", "plot", "test"):
            assert command in result.stdout


def test_options_are_accepted_with_dashes_and_with_underscores(folder, capsys):
    for option in ("--tokenizer-type", "--tokenizer_type"):
        assert (
            run("datagen", option, "word", f"{option.replace('tokenizer', 'output')[:-4]}dir", "d")
            == 0
        )
    assert run("datagen", "--tokenizer-type=bpe", "--vocab-size=270", "--output-dir=out-dir") == 0
    assert (folder / "out-dir/tokenizer.json").exists()


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_every_tokenizer_trains_resumes_and_samples(folder, capsys, kind):
    options = ["--vocab_size", 280] if kind == "bpe" else []
    assert run("datagen", "--tokenizer_type", kind, "--output_dir", "d", *options) == 0
    common = ["--data_dir", "d", "--out_dir", "o", "--eval_interval", 2]
    assert train(*common, "--max_iters", 3) == 0
    # The run remembers its data and its shape.
    assert run("train", "--out_dir", "o", "--max_iters", 4, "--resume") == 0
    assert run("sample", "--out_dir", "o", "--num_samples", 2, "--max_new_tokens", 20) == 0
    assert capsys.readouterr().out.count("---- sample") == 6


def test_word_options_do_what_they_say(folder):
    def words(*options):
        assert run("datagen", "--tokenizer_type", "word", "--output_dir", "w", *options) == 0
        return json.loads((folder / "w/tokenizer.json").read_text())["words"]

    everything = words()
    assert {"<unk>", "First", "lord", "99"} <= set(everything)
    assert "119" not in everything  # only the validation part has it
    assert "99" not in words("--min_freq", 2) and "First" in words("--min_freq", 2)
    assert words("--max_vocab_size", 5) == everything[:5]


def test_options_reach_the_run_and_a_resumed_run_keeps_what_is_not_given_again(folder, capsys):
    given = ["--bias", "True", "--tie_weights", "false", "--activation", "gelu"]
    assert train(*given, "--accumulate", 2, "--beta2", 0.9, "--max_iters", 2) == 0
    model, config = (load_checkpoint("out/char/checkpoint.npz")[1][k] for k in ("model", "train"))
    assert (model["bias"], model["tie_weights"], model["activation"]) == (True, False, "gelu")
    assert (model["n_layer"], model["n_embd"], model["block_size"]) == (1, 8, 8)
    assert run("train", "--resume", "--max_iters", 3, "--lr", 5e-4) == 0
    _, meta = load_checkpoint("out/char/checkpoint.npz")
    assert meta["model"] == model and meta["step"] == 3
    assert meta["train"] == {**config, "max_iters": 3, "lr": 5e-4}
    assert "2 steps of 4 x 8 tokens" in capsys.readouterr().out


def test_a_llama_trains_resumes_samples_and_is_drawn(folder, capsys):
    given = ["--model", "llama", "--n_kv_head", 1, "--qk_norm", "true", "--activation", "relu2"]
    assert train(*given, "--max_iters", 2) == 0
    _, meta = load_checkpoint("out/char/checkpoint.npz")
    assert meta["kind"] == "Llama"
    asked = {"n_head": 2, "n_kv_head": 1, "qk_norm": True, "activation": "relu2", "hidden": 32}
    assert asked.items() <= meta["model"].items()
    # What the run is, the checkpoint knows.
    assert run("train", "--resume", "--max_iters", 3) == 0
    assert run("train", "--resume", "--model", "llama", "--qk_norm", "true", "--max_iters", 4) == 0
    arrays, meta = load_checkpoint("out/char/checkpoint.npz")
    assert meta["step"] == 4 and "model.blocks.0.attn.q_norm.gamma" in arrays
    assert run("sample", "--num_samples", 1, "--max_new_tokens", 30) == 0  # past block_size
    assert run("plot", "--out_dir", "out/char") == 0
    assert capsys.readouterr().out.count("---- sample") == 7


def test_a_llama_is_exported_and_its_files_are_read(folder, capsys):
    for out, options in (("a", []), ("b", ["--qk_norm", "true", "--tie_weights", "false"])):
        assert train("--model", "llama", "--out_dir", out, "--max_iters", 1, *options) == 0
        assert run("export", f"files {out}", "--out_dir", out) == 0
        saved, _, _ = models.load(f"{out}/checkpoint.npz")
        read = from_pretrained(folder / f"files {out}")
        assert read.params().keys() == saved.params().keys()
        for name, p in read.params().items():
            if not name.endswith(("q.W", "k.W", "_norm.gamma")):  # in the files, other pairs turn
                np.testing.assert_array_equal(p, saved.params()[name])
        ids = np.arange(8)[None]
        np.testing.assert_allclose(read(ids), saved(ids), rtol=1e-4, atol=1e-5)
    kinds = [json.loads(Path(f"files {o}/config.json").read_text())["model_type"] for o in "ab"]
    assert kinds == ["llama", "qwen3"]
    assert (
        train("--model", "llama", "--out_dir", "c", "--activation", "relu2", "--max_iters", 1) == 0
    )
    line = fails_with_one_line(capsys, "export", "files c", "--out_dir", "c")
    assert "no activation='relu2'" in line and not (folder / "files c").exists()


def test_an_option_of_the_other_model_is_refused(folder, capsys):
    for option, value in (("qk_norm", "true"), ("n_kv_head", 1), ("rope_base", 500)):
        line = fails_with_one_line(capsys, "train", f"--{option}", value)
        assert f"--{option} needs --model llama" in line
    llama = ["train", *TINY, "--model", "llama"]
    assert "--bias needs --model gpt" in fails_with_one_line(capsys, *llama, "--bias", "false")
    line = fails_with_one_line(capsys, *llama, "--activation", "gelu")
    assert "activation='gelu' is neither 'swiglu' nor 'relu2'" in line
    line = fails_with_one_line(capsys, *llama, "--zero_init_head", "true")
    assert "zero_init_head=True needs tie_weights=False" in line
    assert not (folder / "out").exists()
    assert run(*llama, "--max_iters", 1) == 0
    line = fails_with_one_line(capsys, "train", "--resume", "--model", "gpt", "--max_iters", 2)
    assert "--model gpt does not fit the checkpoint: llama" in line
    line = fails_with_one_line(capsys, "train", "--resume", "--n_kv_head", 1, "--max_iters", 2)
    assert "--n_kv_head 1 does not fit the checkpoint: 2" in line


def test_a_checkpoint_of_an_earlier_version_holds_a_gpt(folder):
    assert train("--max_iters", 1) == 0
    path = "out/char/checkpoint.npz"
    arrays, meta = load_checkpoint(path)
    assert meta.pop("kind") == "GPT"
    save_checkpoint(path, arrays, meta)
    assert run("sample", "--num_samples", 1, "--max_new_tokens", 3) == 0
    assert run("train", "--resume", "--max_iters", 2) == 0


def test_the_seed_is_that_of_the_first_weights(folder):
    def first_weights(seed):
        train("--seed", seed, "--max_iters", 1, "--lr", 0, "--min_lr", 0, "--out_dir", "o")
        return load_checkpoint("o/checkpoint.npz")[0]["model.wte.W"].tobytes()

    assert first_weights(1) == first_weights(1) != first_weights(2)


def test_the_help_tells_the_defaults_and_a_mistake_the_help(capsys):
    line = fails_with_one_line(capsys, "train", "--no_such_option")
    assert line.endswith("; see numpygpt train --help\n")
    assert run("train", "-h") == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in (
        "--n_layer N transformer blocks; 4",
        "--max_iters N optimizer steps; 2000",
        "--bias true|false of a gpt: biases in linear layers and layer norms; True",
    ):
        assert option in text


def test_windows_line_ends_are_one_character(folder):
    (folder / "t.txt").write_bytes(b"one\r\ntwo\r\n" * 20)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert "\\r" not in (folder / "d/tokenizer.json").read_text()


def test_data_whose_preparation_was_interrupted_are_made_again(folder):
    assert run("datagen") == 0
    tokenizer, tokens = (
        folder / "data/shakespeare_char" / n for n in ("tokenizer.json", "val.bin")
    )
    tokenizer.unlink()  # it is written last
    tokens.write_bytes(b"half of ")
    assert train("--max_iters", 1) == 0
    assert tokenizer.exists()


def test_a_text_without_line_breaks_is_sampled_from_its_first_token(folder, capsys):
    (folder / "t.txt").write_text("bad cab, " * 40)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert capsys.readouterr().out == (
        "d: 6 tokens in the vocabulary, 324 to train on, 36 to validate on (360 characters)\n"
    )
    assert train("--data_dir", "d", "--max_iters", 2) == 0
    capsys.readouterr()
    assert run("sample", "--num_samples", 1, "--max_new_tokens", 12) == 0
    text = capsys.readouterr().out.removeprefix("---- sample 1 ----\n").removesuffix("\n")
    assert len(text) == 13 and text[0] == " "
    assert default_prompt(BPETokenizer.train(TEXT, 260)) == "\n"


def test_before_the_first_training_the_model_that_we_ship_is_sampled(folder, capsys):
    train("--max_iters", 1)
    os.makedirs("data/checkpoints")
    os.rename("out/char", "data/checkpoints/shakespeare_char")
    argv = ["sample", "--num_samples", 2, "--max_new_tokens", 5]
    capsys.readouterr()
    assert run(*argv) == 0
    out, err = capsys.readouterr()
    assert err.replace("\\", "/") == (
        "out/char holds no model yet: this is data/checkpoints/shakespeare_char\n"
    )
    assert out.startswith("---- sample 1 ----") and "holds no model" not in out
    # A run that was named, or that is there, is never replaced by ours.
    assert "does not exist" in fails_with_one_line(capsys, *argv, "--out_dir", "out/char")
    train("--max_iters", 1)
    capsys.readouterr()
    assert run(*argv) == 0
    assert capsys.readouterr().err == ""


def test_sampling_is_repeatable_and_temperature_zero_is_greedy(folder, capsys):
    train("--max_iters", 2)

    def text(*options):
        capsys.readouterr()
        assert run("sample", "--num_samples", 2, "--max_new_tokens", 30, *options) == 0
        return capsys.readouterr().out

    assert text("--seed", 1) == text("--seed", 1) != text("--seed", 2)
    assert text() == text("--temperature", 0.8) and "----\n\n" not in text()
    assert run("sample", "--max_new_tokens", 5) == 0
    assert capsys.readouterr().out.count("---- sample") == 3
    one, two = text("--temperature", 0, "--seed", 5).split("---- sample")[1:]
    assert one.split("\n", 1)[1] == two.split("\n", 1)[1]
    assert text("--top_k", 1) == text("--top_p", 1e-6) == text("--temperature", 0)
    one, two = text("--prompt", "I count").split("---- sample")[1:]
    assert one.startswith(" 1 ----\nI count") and two.startswith(" 2 ----\nI count")
    assert one[20:] != two[20:]


def test_plot_draws_the_curves(folder, capsys, monkeypatch):
    import matplotlib
    from matplotlib.figure import Figure

    train("--max_iters", 4, "--eval_interval", 2, "--out_dir", "o")
    figures, savefig = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda f, *a, **k: (figures.append(f), savefig(f, *a, **k))
    )
    capsys.readouterr()
    matplotlib.use("svg")  # as where there is a display: our choice must not depend on it
    assert run("plot", "--out_dir", "o") == 0
    assert matplotlib.get_backend().lower() == "agg"
    assert capsys.readouterr().out == f"{Path('o/training_curves.png')}\n"
    assert {p.name for p in (folder / "o").iterdir()} == {
        "checkpoint.npz", "metrics.jsonl", "training_curves.png"
    }  # fmt: skip
    picture = (folder / "o/training_curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
    records = read_metrics(folder / "o/metrics.jsonl")
    curves = [[line.get_xydata().tolist() for line in axes.lines] for axes in figures[0].axes]
    assert curves == [
        [[[r["step"], r[name]] for r in records if name in r] for name in names]
        for names in (("train_loss", "val_loss"), ("grad_norm",), ("lr",))
    ]
    assert [axes.get_yscale() for axes in figures[0].axes] == ["linear", "log", "linear"]


def test_plot_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in fails_with_one_line(capsys, "plot")


def test_test_prints_a_table_and_fails_when_a_gradient_is_wrong(folder, capsys, monkeypatch):
    assert run("test") == 0
    out = capsys.readouterr().out
    assert "every gradient agrees" in out and out.count("right") >= 19
    from numpygpt.nn import ReLU

    monkeypatch.setattr(ReLU, "backward", lambda self, dy: dy)
    assert run("test") == 1
    out = capsys.readouterr().out
    # ReLU itself, and the FeedForward, the block, the two GPTs and the adapted one that hold it.
    assert out.count("WRONG: ") == 6 and out.endswith("\n6 wrong\n") and "WRONG: dx[" in out


def test_test_takes_weights_of_size_half_from_its_seed(monkeypatch):
    weights = []

    def watch(layer, *_, rng):
        weights.extend(p.copy().ravel() for p in layer.params().values())
        return GradReport({})

    def weights_of(seed):
        weights.clear()
        assert run("test", "--seed", seed) == 0
        return np.concatenate(weights)

    monkeypatch.setattr("numpygpt.cli.test.gradcheck", watch)
    one, again, other = (weights_of(seed) for seed in (1, 1, 2))
    assert (one == again).all() and not (one == other).any()
    assert one.std() == pytest.approx(0.5, rel=0.1)


def test_a_second_run_keeps_the_first_one_aside(folder, capsys):
    (folder / "out/char").mkdir(parents=True)  # no run yet: nothing to keep
    train("--max_iters", 2)
    (folder / "out/char/training_curves.png").touch()
    train("--max_iters", 3)
    assert files(folder / "out/char") == {"checkpoint.npz", "metrics.jsonl"}
    assert "the run that was in out/char is now in out/char.1" in capsys.readouterr().out.replace(
        "\\", "/"
    )
    assert load_checkpoint(folder / "out/char.1/checkpoint.npz")[1]["step"] == 2
    assert load_checkpoint(folder / "out/char/checkpoint.npz")[1]["step"] == 3
    train("--max_iters", 4)
    steps = {
        p.name: load_checkpoint(p / "checkpoint.npz")[1]["step"] for p in Path("out").iterdir()
    }
    assert steps == {"char": 4, "char.1": 2, "char.2": 3}


def test_without_a_terminal_there_is_a_line_for_each_evaluation_only(folder, capsys):
    train("--max_iters", 6, "--eval_interval", 3)
    out = capsys.readouterr().out
    assert out.count("step ") == 2 and "\r" not in out


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    clock = iter([1000.0, 1050.0, 1050.05, 1060.0, 1075.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.__next__))

    def shown(step, **more):
        bar.show({"step": step, "train_loss": 1.5, "tokens_per_s": 12345.6, **more})
        return capsys.readouterr().out

    bar = progress.Progress(100, 300)  # resumed: 100 steps were done before
    clear, line = "\r\x1b[K", "train 1.5000"
    # 50 steps took 50 s, and 150 are left.
    assert shown(150) == (
        f"{clear}{'█' * 10}{'░' * 10} step 150/300  {line}  12,346 tokens/s  2:30 left"
    )
    assert shown(151) == ""  # not ten times a second
    val = f"{line}  val 1.6000  12,346 tokens/s"
    assert shown(160, val_loss=1.6) == f"{clear}step 160/300  {val}  60 s\n"
    assert shown(175) == f"{clear}{'█' * 11}{'░' * 9} step 175/300  {val}  2:05 left"
    bar.close()
    assert capsys.readouterr().out == clear


def test_the_bar_stays_on_one_line_of_a_narrow_terminal(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    train("--max_iters", 6, "--eval_interval", 6)
    bars = [part for part in capsys.readouterr().out.split("\r\x1b[K") if "░" in part]
    assert bars and max(len(bar) for bar in bars) == 39


def test_a_reader_of_the_output_may_leave_early(folder):
    train("--max_iters", 1)
    process = start(folder, "sample", "--num_samples", "200", "--max_new_tokens", "50")
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141 and err == ""
    # Also when all that there is to say is still in the buffer.
    process = start(folder, "datagen")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141 and err == ""


def test_characters_that_the_terminal_cannot_show_do_not_end_the_program(folder):
    (folder / "t.txt").write_text(TEXT.replace("lord", "l☃rd"), encoding="utf-8")
    run("datagen", "t.txt", "--output_dir", "d")
    train("--data_dir", "d", "--max_iters", 1)
    options = "sample --num_samples 1 --max_new_tokens 5 --prompt ☃".split()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "numpygpt", *options],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and "---- sample 1 ----\n?" in result.stdout, result.stderr


# ---- a run that is stopped ----


def weights(folder):
    arrays, meta = load_checkpoint(folder / "checkpoint.npz")
    return {name: a.tobytes() for name, a in arrays.items()}, meta["step"], meta["rng"]


def losses(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [(r["step"], r["train_loss"], r.get("val_loss")) for r in records]


def test_a_run_killed_at_any_moment_and_resumed_ends_with_the_same_weights(folder):
    # A resumed run has the threads of the run, whatever this machine would choose.
    options = [*TINY, "--max_iters", "300", "--eval_interval", "40", "--threads", "2"]
    assert run("datagen") == 0
    assert run("train", *options, "--out_dir", "straight") == 0
    rng = np.random.default_rng(0)
    process = start(folder, "train", *options, "--out_dir", "killed")
    metrics, kills = folder / "killed/metrics.jsonl", 0
    while True:
        # Killed without warning, somewhere in the steps that follow: in a step, a save, a line.
        before = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        goal = before + int(rng.integers(15, 70))
        while process.poll() is None and (
            not metrics.exists() or metrics.read_bytes().count(b"\n") < min(goal, 290)
        ):
            time.sleep(0.002)
        if kills == 3 or process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
        process = start(folder, "train", "--out_dir", "killed", "--resume")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert kills == 3
    assert weights(folder / "killed") == weights(folder / "straight")
    assert losses(folder / "killed") == losses(folder / "straight")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_says_how_to_go_on(folder, sign):
    assert run("datagen") == 0
    process = start(folder, "train", *TINY, "--max_iters", "100000", "--eval_interval", "100000")
    metrics = folder / "out/char/metrics.jsonl"
    while not metrics.exists() or metrics.stat().st_size < 2000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    step = load_checkpoint(folder / "out/char/checkpoint.npz")[1]["step"]
    assert f"stopped after step {step};" in out and "--resume goes on" in out
    assert losses(folder / "out/char")[-1][0] == step > 0


@pytest.mark.parametrize("eval_interval", [1, 100])
def test_a_loss_that_is_lost_keeps_the_last_good_checkpoint(folder, capsys, eval_interval):
    train("--max_iters", 4, "--eval_interval", 2)
    good = weights(folder / "out/char")
    line = fails_with_one_line(
        capsys,
        "train",
        "--resume",
        "--max_iters",
        50,
        "--lr",
        1e30,
        "--eval_interval",
        eval_interval,
    )
    assert "loss is" in line or "weight became" in line
    assert weights(folder / "out/char") == good


def interrupt_in_step(monkeypatch, number, times):
    """Let the n-th step of a run be interrupted, once or more often."""
    step = Trainer.step

    def interrupted(trainer):
        if trainer.step_count + 1 == number:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", interrupted)


def test_an_interrupt_waits_for_the_step_and_a_second_one_does_not(folder, capsys, monkeypatch):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    options = ["--max_iters", 6, "--eval_interval", 2]
    for times, steps_kept, steps_logged in ((1, 3, 3), (2, 2, 2)):
        with monkeypatch.context() as patch:
            interrupt_in_step(patch, 3, times)
            assert train(*options) == 130
        assert load_checkpoint("out/char/checkpoint.npz")[1]["step"] == steps_kept
        assert losses(folder / "out/char")[-1][0] == steps_logged
    assert capsys.readouterr().err == "interrupted\n"
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    # In the last step there is nothing left to stop.
    interrupt_in_step(monkeypatch, 6, 1)
    assert train(*options) == 0


def test_a_step_is_in_the_log_before_it_is_in_the_checkpoint(folder, monkeypatch):
    logged = []

    def watch(path, arrays, meta):
        records = losses(folder / "out/char") if meta["step"] else []
        logged.append((meta["step"], len(records)))
        save_checkpoint(path, arrays, meta)

    monkeypatch.setattr("numpygpt.cli.runs.save_checkpoint", watch)
    train("--max_iters", 3, "--eval_interval", 2)
    # Killed in between, the resumed run drops a line too many; a line too few it cannot write.
    assert logged == [(0, 0), (2, 2), (3, 3)]


def test_the_bar_of_a_resumed_run_starts_where_the_run_does_and_is_closed(folder, monkeypatch):
    calls = []

    class Watched(progress.Progress):
        def __init__(self, done, total):
            calls.append((done, total))
            super().__init__(done, total)

        def close(self):
            calls.append("closed")
            super().close()

    monkeypatch.setattr("numpygpt.cli.steps.Progress", Watched)
    train("--max_iters", 2)
    run("train", "--resume", "--max_iters", 5)
    assert calls == [(0, 2), "closed", (2, 5), "closed"]


def test_a_run_can_be_resumed_before_its_first_evaluation(folder, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_in_step(patch, 1, 2)
        assert train("--max_iters", 2) == 130
    assert run("train", "--resume") == 0


def test_a_model_goes_out_as_gpt2_files_and_comes_back_with_the_same_text(folder, capsys):
    train("--max_iters", 2)
    capsys.readouterr()
    assert run("export", "new/gpt") == 0
    assert capsys.readouterr().out.replace("\\", "/") == (
        f"new/gpt: {sum(a.size for a in model_arrays().values()):,} parameters in "
        "config.json, merges.txt, model.safetensors, vocab.json\n"
    )
    options = ["--num_samples", 2, "--max_new_tokens", 30, "--prompt", "First"]
    texts = []
    for source in (["--out_dir", "out/char"], ["--pretrained", "new/gpt"]):
        assert run("sample", *source, *options) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[0].count("First") == 2


def model_arrays():
    arrays, _ = load_checkpoint("out/char/checkpoint.npz")
    return {name: a for name, a in arrays.items() if name.startswith("model.")}


# ---- mistakes ----


def test_gpt2_files_that_cannot_be_read_or_written(folder, capsys):
    train("--max_iters", 1)
    assert run("export", "gpt") == 0
    both = ["sample", "--pretrained", "gpt", "--out_dir", "out/char"]
    assert "name two models: give one" in fails_with_one_line(capsys, *both)
    assert "is there already" in fails_with_one_line(capsys, "export", "gpt")
    missing = fails_with_one_line(capsys, "export", "new", "--out_dir", "none")
    assert "does not exist: train first" in missing
    assert "exist" in fails_with_one_line(capsys, "sample", "--pretrained", "none")
    path = folder / "gpt/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    line = fails_with_one_line(capsys, "sample", "--pretrained", "gpt")
    assert "model.safetensors is damaged or not a safetensors file" in line
    assert not (folder / "new").exists()


def test_no_such_file(folder, capsys):
    assert "none.txt does not exist" in fails_with_one_line(capsys, "datagen", "none.txt")
    assert "none does not exist" in fails_with_one_line(capsys, "train", "--data_dir", "none")
    assert "none/checkpoint.npz does not exist" in fails_with_one_line(
        capsys, "sample", "--out_dir", "none"
    ).replace("\\", "/")
    assert "does not exist: train first" in fails_with_one_line(capsys, "sample")
    assert "does not exist" in fails_with_one_line(capsys, "plot")
    assert "o/metrics.jsonl" in fails_with_one_line(capsys, "plot", "--out_dir", "o").replace(
        "\\", "/"
    )
    assert "does not exist" in fails_with_one_line(capsys, "train", "--resume")
    (folder / "data/shakespeare.txt").unlink()
    assert "shakespeare.txt does not exist" in fails_with_one_line(capsys, "train")
    assert files(folder) == set()


def test_the_text_in_the_wheel_is_taken_where_no_other_is(folder, capsys, monkeypatch):
    os.rename("data/shakespeare.txt", "ours.txt")
    monkeypatch.setattr(datagen, "OUR_COPY", folder / "ours.txt")
    assert run("datagen") == 0
    ours = Path("data/shakespeare_char/train.bin").read_bytes()
    Path("data/shakespeare.txt").write_text("a text of one's own " * 100)
    assert run("datagen") == 0
    assert Path("data/shakespeare_char/train.bin").read_bytes() != ours
    assert "none.txt does not exist" in fails_with_one_line(capsys, "datagen", "none.txt")


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_an_empty_or_too_short_text(folder, capsys, kind):
    for content, message in (("", "is empty"), (" \n\n", "is empty"), ("a", "too short")):
        (folder / "t.txt").write_text(content)
        line = fails_with_one_line(
            capsys, "datagen", "t.txt", "--tokenizer_type", kind, "--output_dir", "d"
        )
        assert message in line
        assert not (folder / "d").exists()


def test_a_text_shorter_than_a_window(folder, capsys):
    (folder / "t.txt").write_text("to be or not to be, that is")
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    line = fails_with_one_line(capsys, "train", "--data_dir", "d", "--out_dir", "o")
    # Of its 27 letters, nine tenths are the training part.
    assert "train.bin: 24 tokens are too few for a window of block_size=64" in line
    assert not (folder / "o").exists()


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        (("--n_layer", 3, "--n_head", 2, "--n_embd", 40_000), "a GPT of 57,60"),
        (("--batch_size", 100_000_000), "a batch of 6,400,000,000 tokens takes 102 GB"),
    ],
)
def test_what_needs_far_more_memory_than_there_is_is_refused(capsys, monkeypatch, sizes, what):
    monkeypatch.setattr("numpygpt.cli.sizes.memory", lambda: 8e9)
    line = fails_with_one_line(capsys, "train", *sizes)
    assert what in line and "GB to train, this machine has 8" in line


def test_twice_the_memory_is_not_far_more(monkeypatch):
    model = GPTConfig(vocab_size=2, block_size=64, n_layer=1, n_head=1, n_embd=1)
    monkeypatch.setattr("numpygpt.cli.sizes.memory", lambda: 16 * 64_000 / 2)
    check_memory(model, TrainConfig(batch_size=1000))
    with pytest.raises(UsageError, match="a batch of 64,064 tokens"):
        check_memory(model, TrainConfig(batch_size=1001))


def test_a_text_that_is_not_utf8(folder, capsys):
    (folder / "t.txt").write_bytes(b"caf\xe9 and more of it")
    assert "t.txt is not UTF-8 text (byte 3)" in fails_with_one_line(capsys, "datagen", "t.txt")


def test_a_vocabulary_that_does_not_fit(folder, capsys):
    run("datagen")
    run("datagen", "--tokenizer_type", "bpe", "--vocab_size", 270, "--output_dir", "b")
    train("--max_iters", 2)
    line = fails_with_one_line(capsys, "train", "--resume", "--data_dir", "b", "--max_iters", 3)
    assert "another vocabulary" in line
    (folder / "b/tokenizer.json").write_bytes(
        (folder / "data/shakespeare_char/tokenizer.json").read_bytes()
    )
    line = fails_with_one_line(capsys, "train", "--data_dir", "b", "--out_dir", "o")
    assert "was made with 270 tokens" in line
    line = fails_with_one_line(capsys, "sample", "--prompt", "Ünï")
    assert "'Ü' at position 0" in line
    assert "the prompt is empty" in fails_with_one_line(capsys, "sample", "--prompt", "")
    assert not (folder / "o").exists()


def test_a_checkpoint_of_another_shape(folder, capsys):
    train("--max_iters", 2)
    for option, value, saved in (
        ("--n_embd", 16, 8),
        ("--activation", "gelu", "relu"),
        ("--tie_weights", "False", "True"),
    ):
        line = fails_with_one_line(capsys, "train", "--resume", "--max_iters", 3, option, value)
        assert f"{option} {value} does not fit the checkpoint: {saved}" in line


def test_a_run_that_is_done(folder, capsys):
    train("--max_iters", 2)
    before = {path: path.read_bytes() for path in (folder / "out/char").iterdir()}
    capsys.readouterr()
    assert run("train", "--resume") == 0  # nothing is wrong: whoever resumes in a loop is done
    path = Path("out/char/checkpoint.npz")
    assert capsys.readouterr() == (
        f"{path} has done its 2 steps; a larger --max_iters goes on\n", ""
    )  # fmt: skip
    assert {path: path.read_bytes() for path in (folder / "out/char").iterdir()} == before


def test_a_checkpoint_without_a_run_in_it(folder, capsys):
    train("--max_iters", 2)
    path = folder / "out/char/checkpoint.npz"
    arrays, meta = load_checkpoint(path)
    weights_alone = {name: a for name, a in arrays.items() if name.startswith("model.")}
    for bad, message in (
        ((weights_alone, meta), "holds no run to go on with"),
        ((arrays, {**meta, "train": {"colour": 1}}), "a configuration that we cannot read"),
        ((arrays, {n: m for n, m in meta.items() if n != "train"}), "that we cannot read: 'train'"),
    ):
        save_checkpoint(path, *bad)
        assert message in fails_with_one_line(capsys, "train", "--resume", "--max_iters", 3)
    assert run("sample", "--max_new_tokens", 5) == 0


def test_damaged_files(folder, capsys):
    train("--max_iters", 2)
    checkpoint, tokens = (
        folder / "out/char/checkpoint.npz",
        folder / "data/shakespeare_char/train.bin",
    )
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-100])
    for argv in (["sample"], ["train", "--resume"]):
        line = fails_with_one_line(capsys, *argv)
        assert "checkpoint.npz is damaged" in line and "train again" in line
    assert checkpoint.read_bytes() == whole[:-100]
    checkpoint.write_bytes(whole)
    tokens.write_bytes(tokens.read_bytes()[:-2])
    assert "train.bin is not the file" in fails_with_one_line(
        capsys, "train", "--resume", "--max_iters", 3
    )
    run("datagen", "--output_dir", "d")
    (folder / "d/val.bin").write_bytes(b"")
    assert "val.bin" in fails_with_one_line(capsys, "train", "--data_dir", "d", "--out_dir", "o")
    (folder / "data/shakespeare_char/tokenizer.json").write_text("{")
    assert "tokenizer.json is not a tokenizer" in fails_with_one_line(capsys, "train")
    (folder / "out/char/metrics.jsonl").write_text("")
    assert "holds no steps yet" in fails_with_one_line(capsys, "plot")


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--n_head", "3"],
        ["train", "--n_layer", "0"],
        ["train", "--n_layer", "two"],
        ["train", "--lr", "nan"],
        ["train", "--tie_weights", "maybe"],
        ["train", "--activation", "swish"],
        ["train", "--max_iters", "0"],
        ["train", "--seed", "-1"],
        ["train", "--no_such_option"],
        ["train", "--max_iter", "3"],
        ["datagen", "--vocab_size", "300"],
        ["datagen", "--tokenizer_type", "bpe", "--vocab_size", "3"],
        ["datagen", "--tokenizer_type", "word", "--min_freq", "0"],
        ["datagen", "--tokenizer_type", "word", "--max_vocab_size", "1"],
        ["datagen", "--tokenizer_type", "syllable"],
        ["sample", "--temperature", "-1"],
        ["sample", "--temperature", "nan"],
        ["sample", "--top_k", "0"],
        ["sample", "--top_p", "2"],
        ["sample", "--num_samples", "0"],
        ["sample", "--max_new_tokens", "0"],
        ["sample", "--seed", "-1"],
        ["test", "--seed", "-1"],
        ["dance"],
        [],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be(folder, capsys, argv):
    if argv[:1] == ["sample"]:
        train("--max_iters", 1)
    before = files(folder)
    fails_with_one_line(capsys, *argv)
    made_on_the_way = {
        f for f in files(folder) - before if not f.startswith("data/shakespeare_char")
    }
    assert not made_on_the_way


def test_a_folder_that_cannot_be_written(folder, capsys):
    run("datagen")
    (folder / "out").write_text("a file where a folder is needed")
    assert "out" in fails_with_one_line(capsys, "train")
    assert "data" in fails_with_one_line(
        capsys, "datagen", "--output_dir", "data/shakespeare.txt/x"
    )
    assert (folder / "data/shakespeare.txt").read_text() == TEXT


# ---- engines ----


def test_both_engines_train_alike_and_a_resumed_run_keeps_its_own(folder):
    assert run("datagen") == 0
    for name, options in (("threads", ["--threads", "3"]), ("layers", [])):
        options = [*TINY, "--batch_size", "5", "--engine", name, *options]
        assert run("train", *options, "--max_iters", 5, "--out_dir", name) == 0
    (a, b) = (losses(folder / name) for name in ("threads", "layers"))
    assert np.allclose([r[1] for r in a], [r[1] for r in b], rtol=1e-4)
    for name, about in (
        ("threads", {"kind": "threads", "threads": 3}),
        ("layers", {"kind": "layers"}),
    ):
        assert run("train", "--out_dir", name, "--resume", "--max_iters", 7) == 0
        assert load_checkpoint(folder / name / "checkpoint.npz")[1]["engine"] == about


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "0"], "'0' is not a whole number of at least 1"),
        (["--engine", "layers", "--threads", "2"], "--threads needs --engine threads"),
        (["--engine", "gpu"], "invalid choice: 'gpu'"),
        (["--keep", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(folder, capsys, options, message):
    assert run("datagen") == 0
    assert message in fails_with_one_line(capsys, "train", *TINY, *options)

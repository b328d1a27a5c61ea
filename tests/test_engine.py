"""The threaded engine computes what the layers compute, whatever the threads and the pieces."""

import warnings

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig
from numpygpt.engine import BLASThreads, ThreadedEngine, twin
from numpygpt.training import LayersEngine

B, T, V = 7, 5, 11


def make(dtype=np.float64, **options):
    if "n_kv_head" in options:
        config = LlamaConfig(V, T, n_layer=2, n_head=6, n_embd=7, head_dim=4, **options)
        model = Llama(config, rng=np.random.default_rng(0), dtype=dtype)
    else:
        shape = {"n_layer": 2, "n_head": 3, "n_embd": 6, **options}
        model = GPT(GPTConfig(V, T, **shape), rng=np.random.default_rng(0), dtype=dtype)
    for p in model.params().values():
        p[...] = np.random.default_rng(1).normal(0, 0.5, p.shape)
    return model


def batch():
    return np.random.default_rng(2).integers(0, V, (2, B, T))


def results(engine, model, scale=0.7):
    """Loss, and the gradients of two passes: they must add up."""
    model.zero_grad()
    engine.backprop(*batch(), scale)
    loss = engine.backprop(*batch(), scale)
    return loss, {name: g.copy() for name, g in model.grads().items()}


@pytest.mark.parametrize("piece_tokens", [1, 2 * T, 1000])
@pytest.mark.parametrize("threads", [1, 2, 3, 9])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "gelu"},
        {"tie_weights": False},
        {"bias": False},
        {"n_kv_head": 3, "qk_norm": True},
    ],
    ids=["relu", "gelu", "untied", "no bias", "llama"],
)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_loss_and_gradients_are_those_of_the_layers(dtype, rtol, options, threads, piece_tokens):
    model = make(dtype, **options)
    expected_loss, expected = results(LayersEngine(model), model)
    engine = ThreadedEngine(model, threads, piece_tokens)
    loss, grads = results(engine, model)
    assert loss == pytest.approx(expected_loss, rel=rtol)
    assert engine.loss(*batch()) == pytest.approx(expected_loss, rel=rtol)
    for name, g in grads.items():
        # Relative to the array's size: the key bias's gradient is truly zero.
        size = max(np.abs(expected[name]).max(), 1e-2)
        np.testing.assert_allclose(g, expected[name], rtol=0, atol=rtol * size, err_msg=name)


def test_the_gradients_are_the_same_bits_every_time():
    model = make(np.float32)
    runs = [results(ThreadedEngine(model, 3, T), model) for _ in range(5)]
    for loss, grads in runs[1:]:
        assert loss == runs[0][0]
        assert all(np.array_equal(g, runs[0][1][name]) for name, g in grads.items())


def test_every_sequence_is_in_one_piece():
    for threads in (1, 2, 3, 9):
        for piece_tokens in (1, T, 2 * T, 1000):
            pieces = ThreadedEngine(make(), threads, piece_tokens).pieces(B, T)
            assert [b for p in pieces for b in range(B)[p]] == list(range(B))
            assert all(p.stop > p.start for p in pieces)
            assert all((p.stop - p.start) * T <= max(piece_tokens, T) for p in pieces)


def test_there_are_no_more_pieces_than_the_memory_asks_for():
    for threads, piece_tokens, pieces in ((3, 2 * T, 6), (3, 4 * T, 3), (1, 12 * T, 1), (2, 1, 12)):
        assert len(ThreadedEngine(make(), threads, piece_tokens).pieces(12, T)) == pieces


def test_without_a_number_there_are_as_many_threads_as_blas_has():
    blas = BLASThreads()
    with blas.limited(2):
        assert ThreadedEngine(make()).threads == len(ThreadedEngine(make()).models) == 2
    assert ThreadedEngine(make()).threads == blas.get()


def test_a_blas_that_does_not_tell_its_threads_has_one():
    blas, before = BLASThreads(), BLASThreads().get()
    blas.name = None
    with blas.limited(before + 1):
        assert blas.get() == 1
        assert BLASThreads().get() == before


def test_a_twin_shares_parameters_and_nothing_else():
    model = make()
    model(*batch())
    model.backward()
    other = twin(model)
    assert not any(g.any() for g in other.grads().values())
    for name, p in model.params().items():
        assert other.params()[name] is p
        assert not np.shares_memory(other.grads()[name], model.grads()[name])
    assert other.blocks[0].attn is not model.blocks[0].attn


def test_a_step_of_the_optimizer_reaches_every_thread():
    model = make()
    engine = ThreadedEngine(model, 3)
    before = engine.loss(*batch())
    for p in model.params().values():
        p *= 0.5
    assert engine.loss(*batch()) == pytest.approx(LayersEngine(model).loss(*batch()))
    assert engine.loss(*batch()) != pytest.approx(before)


def test_an_error_in_a_thread_is_raised_and_leaves_nothing_behind():
    model = make()
    engine = ThreadedEngine(model, 3)
    x, y = batch()
    wrong = y.copy()
    wrong[-1] = V  # the last thread's
    with pytest.raises(ValueError, match="targets must be ids"):
        engine.backprop(x, wrong)
    _, grads = results(engine, model)
    _, expected = results(LayersEngine(model), model)
    for name, g in grads.items():
        np.testing.assert_allclose(g, expected[name], rtol=1e-10, atol=1e-12)


def test_the_callers_errstate_holds_in_the_threads():
    model = make()
    model.wte.W[...] = 1e308
    engine = ThreadedEngine(model, 2)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        engine.loss(*batch())


def test_blas_has_its_threads_back_afterwards():
    blas = BLASThreads()
    if blas.name is None:
        pytest.fail("no OpenBLAS found beside NumPy: the engine would start one thread")
    with blas.limited(2):
        seen = []
        engine = ThreadedEngine(make(), 2)
        engine.share_out(lambda *_: seen.append(blas.get()) or 0.0, *batch())
        assert (seen, blas.get()) == ([1, 1], 2)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("B", "T", "most"), [(7, 96, 256), (12, 64, 2048), (5, 100, 64)])
def test_no_piece_is_longer_than_it_may_be_and_none_is_lost(B, T, most, threads):
    model = GPT(GPTConfig(11, T, 1, 1, 2), rng=np.random.default_rng(0))
    pieces = ThreadedEngine(model, threads, most).pieces(B, T)
    assert [row for piece in pieces for row in range(B)[piece]] == list(range(B))
    assert max(piece.stop - piece.start for piece in pieces) <= max(1, most // T)

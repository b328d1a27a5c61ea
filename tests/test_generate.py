"""Sampling and the KV cache."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig
from numpygpt.generate import KVCache, draw, generate, keep_likeliest, next_token_probs, stream

V = 11


def model(block_size=8, tied=True, n_layer=2):
    rng = np.random.default_rng(0)
    config = GPTConfig(V, block_size, n_layer, 3, 6, "gelu", tie_weights=tied)
    gpt = GPT(config, rng=rng, dtype=np.float64)
    # Large matrices and small shifts: the likeliest token must depend on what was read.
    for p in gpt.params().values():
        p[...] = rng.normal(0, 1, p.shape) if p.ndim == 2 else p + rng.normal(0, 0.1, p.shape)
    return gpt


def llama(block_size=8, tied=True):
    """RoPE, QK-norm, two heads of queries for each of keys, 6 x 4 channels beside C = 7."""
    rng = np.random.default_rng(0)
    options = {"n_kv_head": 3, "head_dim": 4, "qk_norm": True, "tie_weights": tied}
    made = Llama(LlamaConfig(V, block_size, 2, 6, 7, **options), rng=rng, dtype=np.float64)
    for p in made.params().values():
        p[...] = rng.normal(0, 1, p.shape) if p.ndim == 2 else p + rng.normal(0, 0.1, p.shape)
    return made


@pytest.mark.parametrize("kind", [model, llama])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("block_size", [1, 2, 7, 8])
def test_the_cache_gives_the_logits_of_the_full_forward_pass_also_past_block_size(
    block_size, tied, kind
):
    rng = np.random.default_rng(1)
    gpt = kind(block_size, tied)
    cache = KVCache(gpt, batch_size=3)
    seen = np.zeros((3, 0), int)
    for n in (1, 3, 1, 1, 2, 1, 1, 1, 5, 1, 1, 20, 1, 1, 1):  # prompts and single tokens
        new = rng.integers(0, V, (3, n))
        seen = np.concatenate([seen, new], axis=1)
        full = cache.window.shape[1] + n > block_size
        logits = cache.append(new)
        # The window is what we say it is: the last tokens, at most block_size, at least half of it.
        length = cache.window.shape[1]
        assert min(max(block_size // 2, 1), seen.shape[1]) <= length <= block_size
        if full and n <= block_size:  # the older half is gone, so that the next tokens are cheap
            assert length <= (block_size + 1) // 2
        np.testing.assert_array_equal(cache.window, seen[:, -length:])
        np.testing.assert_allclose(logits, gpt(cache.window)[:, -1], rtol=0, atol=1e-12)


def test_up_to_block_size_nothing_is_forgotten():
    gpt = model(block_size=8)
    cache = KVCache(gpt)
    ids = np.random.default_rng(2).integers(0, V, (1, 8))
    for t in range(8):
        logits = cache.append(ids[:, t : t + 1])
        np.testing.assert_allclose(logits, gpt(ids[:, : t + 1])[:, -1], rtol=0, atol=1e-12)


def test_a_llama_reads_further_than_it_was_trained_and_its_cache_does_not():
    made = llama(block_size=4)
    ids = np.random.default_rng(3).integers(0, V, (2, 9))
    full = made(ids)  # all nine positions: RoPE has angles for them
    assert full.shape == (2, 9, V)
    cache = KVCache(made, 2)
    logits = cache.append(ids[:, :4])
    np.testing.assert_allclose(logits, full[:, 3], rtol=0, atol=1e-12)
    logits = cache.append(ids[:, 4:5])  # the older half of the window is gone
    assert cache.window.tolist() == ids[:, 3:5].tolist()
    assert np.abs(logits - full[:, 4]).max() > 1e-3
    # In a room for nine, the cache reads all nine as well.
    cache = KVCache(made, 2)
    cache.model.config = LlamaConfig(**vars(made.config) | {"block_size": 9})
    for t in range(9):
        logits = cache.append(ids[:, t : t + 1])
        np.testing.assert_allclose(logits, full[:, t], rtol=0, atol=1e-12)


def test_the_cache_keeps_float32_and_draws_from_float64():
    gpt = GPT(GPTConfig(V, 8, 2, 3, 6), rng=np.random.default_rng(0))
    logits = KVCache(gpt).append(np.array([[1, 2]]))
    assert logits.dtype == np.float32
    # Sums of many float32 probabilities are too far from 1 to draw by.
    assert next_token_probs(logits).dtype == np.float64


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-6}], ids=str
)
def test_every_option_at_its_end_is_greedy(options):
    gpt, ids = model(), np.random.default_rng(3).integers(0, V, (30, 3))
    out = generate(gpt, ids, 5, rng=np.random.default_rng(0), **options)
    for _ in range(5):
        ids = np.concatenate([ids, gpt(ids)[:, -1].argmax(axis=-1)[:, None]], axis=1)
    np.testing.assert_array_equal(out, ids)


def test_of_a_long_prompt_the_last_block_size_tokens_are_read():
    gpt, ids = model(block_size=8), np.random.default_rng(4).integers(0, V, (30, 13))
    out = generate(gpt, ids, 1, temperature=0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(out[:, :-1], ids)
    np.testing.assert_array_equal(out[:, -1], gpt(ids[:, -8:])[:, -1].argmax(axis=-1))
    assert len(set(out[:, -1])) > 4


def test_sequences_of_a_batch_are_what_each_would_be_alone():
    gpt, ids = model(), np.array([[1, 2, 3], [4, 5, 6]])
    out = generate(gpt, ids, 12, temperature=0, rng=np.random.default_rng(0))
    for row in range(2):
        alone = generate(gpt, ids[row : row + 1], 12, temperature=0, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(out[row : row + 1], alone)


def test_the_same_seed_gives_the_same_tokens():
    gpt, ids = model(), np.array([[1]])
    a, b, c = (generate(gpt, ids, 30, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


LOGITS = np.log(np.array([[0.5, 0.2, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]))


def test_temperature_sharpens_and_flattens():
    np.testing.assert_allclose(next_token_probs(LOGITS), np.exp(LOGITS))
    sharp, flat = (next_token_probs(LOGITS, t)[0, 0] for t in (0.5, 2.0))
    assert sharp == pytest.approx(0.25 / (0.25 + 0.04 + 0.04 + 0.01))
    assert flat < 0.5 < sharp


def test_top_k_keeps_k_tokens_and_breaks_ties_by_the_smaller_id():
    p = next_token_probs(LOGITS, top_k=2)
    np.testing.assert_allclose(p[0], [5 / 7, 2 / 7, 0, 0])
    np.testing.assert_allclose(p[1], [0, 0, 3 / 7, 4 / 7])
    np.testing.assert_allclose(next_token_probs(LOGITS, top_k=99), np.exp(LOGITS))


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    np.testing.assert_allclose(next_token_probs(LOGITS, top_p=0.45)[0], [1, 0, 0, 0])
    np.testing.assert_allclose(next_token_probs(LOGITS, top_p=0.55)[0], [5 / 7, 2 / 7, 0, 0])
    np.testing.assert_allclose(next_token_probs(LOGITS, top_p=0.65)[1], [0, 0, 3 / 7, 4 / 7])
    np.testing.assert_allclose(next_token_probs(LOGITS, top_p=1.0), np.exp(LOGITS))


def test_top_p_stops_where_the_mass_is_exactly_p():
    p = np.array([[0.5, 0.25, 0.125, 0.125]])
    np.testing.assert_allclose(keep_likeliest(p, top_p=0.75), [[2 / 3, 1 / 3, 0, 0]])


def test_top_p_counts_the_mass_that_top_k_leaves():
    # Of 5/7 and 2/7 the first alone reaches 0.7; of the whole 0.5 and 0.2 it would not.
    np.testing.assert_allclose(next_token_probs(LOGITS, top_k=2, top_p=0.7)[0], [1, 0, 0, 0])


def test_draws_follow_the_probabilities():
    probs = np.array([[0.5, 0.0, 0.3, 0.2]]).repeat(20000, axis=0)
    counts = np.bincount(draw(probs, np.random.default_rng(0)), minlength=4) / 20000
    assert counts[1] == 0
    np.testing.assert_allclose(counts, probs[0], atol=0.015)  # over 4 standard errors


def test_draw_never_falls_off_either_end():
    class Always:
        def __init__(self, u):
            self.u = u

        def random(self, shape):
            return np.full(shape, self.u)

    probs = np.full((1, 10), 0.1)  # adds up to 0.9999999999999999
    assert draw(probs, Always(np.nextafter(1.0, 0.0))) == [9]
    assert draw(np.array([[0.0, 1.0]]), Always(0.0)) == [1]  # not the token that cannot be


@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-308, 5e-324, np.float64(1e-320)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_smallest_temperature_is_greedy_and_halves_a_tie(temperature, dtype):
    # 100 apart, and 0.1, and not at all: divided, each of the first two is larger than any number.
    logits = np.array([[-50, 50, 7], [2.1, 2, 2], [3, 1, 3], [-1e30, 1e30, -np.inf]], dtype)
    expected = [[0, 1, 0], [1, 0, 0], [0.5, 0, 0.5], [0, 1, 0]]
    np.testing.assert_array_equal(next_token_probs(logits, temperature).tolist(), expected)
    np.testing.assert_array_equal(next_token_probs(logits, temperature, 2, 0.9), expected)


def test_the_largest_temperature_draws_from_all_alike():
    for temperature in (1e308, np.inf):
        np.testing.assert_allclose(next_token_probs(LOGITS, temperature), 0.25)


@pytest.mark.parametrize("lost", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0, 1])
def test_a_logit_that_is_lost_is_told_and_not_drawn(lost, temperature):
    logits = LOGITS.copy()
    logits[1, 2] = lost
    with pytest.raises(ValueError, match="a logit is NaN or infinite"):
        next_token_probs(logits, temperature)
    gpt = model()
    gpt.wte.W[3, 1] = lost
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="a logit is NaN or infinite"):
        generate(gpt, np.array([[1, 2]]), 3, rng=np.random.default_rng(0))


@pytest.mark.parametrize("row", [[0.0, 0.0], [np.nan, 0.5], [0.5, np.nan]])
def test_probabilities_that_are_none_are_told_and_not_drawn(row):
    with pytest.raises(ValueError, match="only zeros, or NaN"):
        draw(np.array([[0.5, 0.5], row]), np.random.default_rng(0))


def test_the_stream_has_no_end_and_is_what_generate_takes_from():
    gpt, ids = model(), np.array([[1, 2, 3], [4, 5, 6]])
    taken = list(islice(stream(gpt, ids, top_k=4, rng=np.random.default_rng(5)), 20))
    assert len(taken) == 20 and all(new.shape == (2, 1) for new in taken)
    out = generate(gpt, ids, 20, top_k=4, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(out, np.concatenate([ids, *taken], axis=1))
    np.testing.assert_array_equal(generate(gpt, ids, 0, rng=np.random.default_rng(5)), ids)


@pytest.mark.parametrize(
    "bad",
    [{"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"temperature": np.nan}],
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
        next_token_probs(LOGITS, **bad)


@pytest.mark.parametrize("shape", [(1, 0), (4,)])
def test_a_prompt_without_tokens_or_without_a_batch_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(B, T\) with at least one token"):
        generate(model(), np.zeros(shape, int), 3, rng=np.random.default_rng(0))


def test_greedy_needs_no_table_of_the_vocabulary_squared():
    # Of GPT-2's 50,257 tokens it would take 20 GB.
    logits = np.zeros((2, 20_000))
    logits[[0, 1], [3, 19_999]] = 1
    tracemalloc.start()
    try:
        p = next_token_probs(logits, temperature=0)
        assert tracemalloc.get_traced_memory()[1] < 10 * logits.nbytes
    finally:
        tracemalloc.stop()
    assert p.argmax(axis=-1).tolist() == [3, 19_999] and p.sum() == 2

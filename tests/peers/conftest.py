"""The peers: PyTorch, transformers, tokenizers. A missing one fails the tests; none is skipped."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def float64_by_default():
    import torch

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)

"""Optimizers, clipping, learning-rate schedules: chapters 6 and 24. Written by hand."""

from numpygpt.lazy import lazy_names

HOMES = {
    "SGD": "sgd",
    "Adam": "adam",
    "Muon": "muon",
    "clip_grad_norm": "clip",
    "WarmupCosineLR": "lr_scheduler",
    "StepLR": "lr_scheduler",
}
__all__ = list(HOMES)
__getattr__, __dir__ = lazy_names(__name__, HOMES)

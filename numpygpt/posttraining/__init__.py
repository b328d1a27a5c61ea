"""What comes after pretraining, from chapters 27 to 29. This file is written by hand."""

from numpygpt.lazy import lazy_names

HOMES = {
    "weighted_cross_entropy": "masked",
    "weighted_cross_entropy_backward": "masked",
    "MaskedLoss": "masked",
    "Example": "examples",
    "turns": "examples",
    "padded": "examples",
    "packed": "examples",
    "RowLoader": "examples",
    "AnswerEngine": "finetune",
    "Finetuner": "finetune",
    "PreferenceLoss": "preferences",
    "RewardModel": "preferences",
    "DPOLoss": "preferences",
    "token_log_probs": "preferences",
    "answer_log_probs": "preferences",
    "rollouts": "sampling",
    "pay": "sampling",
    "group_advantages": "grpo",
    "token_shares": "grpo",
    "PolicyLoss": "grpo",
    "GRPO": "grpo",
}
__all__ = list(HOMES)
__getattr__, __dir__ = lazy_names(__name__, HOMES)

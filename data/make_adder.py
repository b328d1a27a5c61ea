"""Make data/checkpoints/forgetful_adder/checkpoint.npz: a small GPT whose teacher drops carries.

Run from the project's folder; half a minute of one core:

    python data/make_adder.py
"""

from pathlib import Path

import numpy as np

from numpygpt.checkpoint import save_checkpoint
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.posttraining import adder
from numpygpt.posttraining.finetune import Finetuner
from numpygpt.tokenizers import CharTokenizer
from numpygpt.training import TrainConfig

TARGET = Path(__file__).parent / "checkpoints/forgetful_adder/checkpoint.npz"
MODEL = GPTConfig(len(adder.SYMBOLS), block_size=9, n_layer=2, n_head=4, n_embd=64)
SEED = 27
ASKED = 8  # times that the teacher is asked for each sum: he does not always say the same
STEPS = 2500


def main():
    rng = np.random.default_rng(SEED)
    pairs, held_out = adder.split_sums()
    asked = np.tile(pairs, (ASKED, 1))
    taught = adder.rows(asked, adder.taught_answers(asked, rng=rng), mask=False)
    test = adder.rows(held_out, adder.taught_answers(held_out, rng=rng), mask=False)
    config = TrainConfig(
        batch_size=64, max_iters=STEPS, lr=3e-3, eval_interval=500, eval_iters=10, seed=SEED
    )
    model = GPT(MODEL, rng=rng)
    trainer = Finetuner(model, taught, test, config)
    for record in trainer.run():
        if "val_loss" in record:
            print(f"step {record['step']:5}  loss on held-out sums {record['val_loss']:.4f}")
    arrays, meta = trainer.state()
    weights = {name: a for name, a in arrays.items() if name.startswith("model.")}
    kept = {name: meta[name] for name in ("kind", "model", "train", "step")}
    kept["tokenizer"] = CharTokenizer(adder.SYMBOLS).to_json()
    save_checkpoint(TARGET, weights, kept)
    right, forgetful = (f(held_out) for f in (adder.right_answers, adder.forgetful_answers))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, {model.num_params():,} parameters")
    print(
        f"of {len(held_out)} held-out sums {adder.share_saying(model, held_out, right):.1%} right, "
        f"{adder.share_saying(model, held_out, forgetful):.1%} as the teacher who forgets"
    )


if __name__ == "__main__":
    main()

"""Make data/dialogues/train.jsonl and val.jsonl: short questions with their answers.

People of the nine plays in shakespeare.txt, sums in words, and letters of words. Run from the
project's folder:

    python data/dialogues.py

A line is one chat, in the form that most tools for fine-tuning read. The questions of val.jsonl are
held out: train.jsonl has none about the letters of the same word, nor the same sum in either order.
Facts about people cannot be guessed; there the fact is in train.jsonl, asked in other words.
"""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TARGET = HERE / "dialogues"
LONGEST = 64 - len("You:\n\n\nI:\n")  # characters of question and answer, for our model's window

# Nobody who is in two of the plays.
PLAYS = {
    "Coriolanus": "Marcius Menenius Cominius Volumnia Virgilia Valeria Aufidius Sicinius Lartius",
    "Richard the Third": "Buckingham Catesby Ratcliff Tyrrel Dorset Brakenbury",
    "Richard the Second": "Bolingbroke Gaunt Mowbray Aumerle Bushy Bagot Green Carlisle",
    "Romeo and Juliet": "Romeo Mercutio Tybalt Benvolio Capulet Rosaline Balthasar",
    "Henry the Sixth": "Warwick Clifford Somerset Rutland Lewis Bona Westmoreland",
    "The Winter's Tale": """Leontes Hermione Perdita Florizel Polixenes Camillo Paulina Antigonus
        Autolycus Mamillius""",
    "Measure for Measure": """Angelo Isabella Claudio Lucio Mariana Escalus Pompey Elbow
        Barnardine Froth""",
    "The Taming of the Shrew": """Petruchio Katharina Bianca Baptista Lucentio Tranio Hortensio
        Gremio Grumio Biondello""",
    "The Tempest": """Prospero Miranda Ariel Caliban Ferdinand Alonso Gonzalo Stephano Trinculo
        Sycorax""",
}

RELATIONS = {
    "father": """Juliet Capulet, Romeo Montague, Miranda Prospero, Ferdinand Alonso,
        Perdita Leontes, Mamillius Leontes, Florizel Polixenes, Katharina Baptista, Bianca Baptista,
        Lucentio Vincentio, Aumerle York, Bolingbroke Gaunt""",
    "mother": "Caliban Sycorax, Perdita Hermione, Mamillius Hermione, Marcius Volumnia",
    "son": """Montague Romeo, Alonso Ferdinand, Polixenes Florizel, Vincentio Lucentio,
        York Aumerle, Gaunt Bolingbroke, Volumnia Marcius, Sycorax Caliban""",
    "daughter": "Capulet Juliet, Prospero Miranda, Leontes Perdita",
    "wife": """Leontes Hermione, Antigonus Paulina, Petruchio Katharina, Lucentio Bianca,
        Marcius Virgilia, Romeo Juliet""",
    "husband": """Hermione Leontes, Paulina Antigonus, Katharina Petruchio, Bianca Lucentio,
        Virgilia Marcius, Juliet Romeo""",
    "love": "Florizel Perdita, Perdita Florizel, Ferdinand Miranda, Miranda Ferdinand",
    "brother": """Prospero Antonio, Alonso Sebastian, Sebastian Alonso, Isabella Claudio,
        Gaunt York, York Gaunt""",
    "sister": "Claudio Isabella, Katharina Bianca, Bianca Katharina",
    "cousin": """Juliet Tybalt, Romeo Benvolio, Tybalt Juliet, Benvolio Romeo,
        Bolingbroke Aumerle, Aumerle Bolingbroke""",
    "servant": "Lucentio Tranio, Petruchio Grumio, Romeo Balthasar, Prospero Ariel",
    "enemy": "Marcius Aufidius, Aufidius Marcius, Bolingbroke Mowbray",
}

ASK_PLAY = (
    "In which play is {}?",
    "Which play has {}?",
    "Where do I meet {}?",
    "What play is {} from?",
    "Name the play with {}.",
)
ASK_RELATION = (
    "Who is the {1} of {0}?",
    "Who is {0}'s {1}?",
    "Name the {1} of {0}.",
    "{0}'s {1}, who is it?",
)
NUMBERS = """nought one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen twenty""".split()
ASK_SUM = ("What is {} and {}?", "Add {} to {}.")
ASK_LETTER = {
    "first": ("How does {} begin?", "Name the first letter of {}."),
    "last": ("How does {} end?", "Name the last letter of {}."),
    "count": ("How many letters has {}?",),
}
WORDS, HELD_OUT_WORDS = 300, 50


def people(rng):
    """Yield (held out, question, answer) of each person: one way to ask is held out."""
    for play, names in PLAYS.items():
        for name in names.split():
            yield from asked(ASK_PLAY, rng, f"{play}.", name)
    for relation, pairs in RELATIONS.items():
        for pair in pairs.split(","):
            who, answer = pair.split()
            yield from asked(ASK_RELATION, rng, f"{answer}.", who, relation)


def asked(ways, rng, answer, *names):
    held_out = rng.integers(len(ways))
    for i, way in enumerate(ways):
        yield i == held_out, way.format(*names), answer


def sums(rng):
    """Yield the same of sums of two numbers up to ten; one pair in seven is held out."""
    for a in range(11):
        for b in range(a, 11):
            held_out = rng.random() < 1 / 7
            for one, other in sorted({(a, b), (b, a)}):
                for way in ASK_SUM:
                    answer = NUMBERS[a + b].capitalize() + "."
                    yield held_out, way.format(NUMBERS[one], NUMBERS[other]), answer


def letters(rng):
    """Yield the same of letters in the words that the plays use most; some words are held out."""
    text = (HERE / "shakespeare.txt").read_text(encoding="ascii")
    counts = Counter(re.findall(r"(?<![A-Za-z'-])[a-z]{3,7}(?![A-Za-z'-])", text))
    words = [word for word, _ in counts.most_common(WORDS)]
    held_out = set(rng.choice(words, HELD_OUT_WORDS, replace=False).tolist())
    for word in words:
        answers = {
            "first": f"With {word[0]}.",
            "last": f"With {word[-1]}.",
            "count": f"{NUMBERS[len(word)].capitalize()}.",
        }
        for what, ways in ASK_LETTER.items():
            for way in ways:
                yield word in held_out, way.format(word), answers[what]


def chats(seed=27):
    """Return {"train": lines, "val": lines}, in an order that is always the same."""
    rng = np.random.default_rng(seed)
    lines = {"train": [], "val": []}
    for held_out, question, answer in [*people(rng), *sums(rng), *letters(rng)]:
        if len(question) + len(answer) > LONGEST:
            raise ValueError(f"{question!r} with {answer!r} is longer than {LONGEST} characters")
        said = [("user", question), ("assistant", answer)]
        messages = [{"role": role, "content": content} for role, content in said]
        lines["val" if held_out else "train"].append(
            json.dumps({"messages": messages}, separators=(",", ":"))
        )
    for part in lines.values():
        rng.shuffle(part)
    return lines


def main():
    TARGET.mkdir(exist_ok=True)
    for name, lines in chats().items():
        path = TARGET / f"{name}.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        print(f"{path}: {len(lines)} chats, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""What a student reads first in a handout."""

TEXT = """\
# {title}

Your notebook{s}: {notebooks}. Write your code where it says `# YOUR CODE HERE`, and run the check
below it.

## Set up, once

You need Python 3.11 or later. In this folder:

```
python3 -m venv .venv
.venv/bin/python -m pip install -r requirements.txt
.venv/bin/python -m jupyter lab
```

On Windows it is `py -m venv .venv`, and `.venv\\Scripts\\python` in place of `.venv/bin/python`.
Leave the notebook in this folder: it finds `coursekit` and `numpygpt` beside it.

## Work

| you want to | you run |
|---|---|
| check one answer | the cell below it |
| get a hint | `hint("{task}")` in a cell of your own |
| check all answers as they are saved | `.venv/bin/python -m coursekit check` |
| see what is right, your hints and minutes | `.venv/bin/python -m coursekit status` |

`check` holds your answer to cases that are stored here, and says what is wrong. The mark is given
on other cases, so write code that is right for all inputs, and not for these.

Put everything that an answer needs into its own cell: no other cell of yours is run for the mark.
`numpygpt` is here up to the chapter before this set; of what comes later it has the names only.

## Hand in

Save, and hand in the notebook under its own name: {notebooks}. If you want to share how long each
task took you and which hints you read, zip it together with the folder `.progress`.

From numpygpt, a book of its authors: code under the MIT license, text under CC BY 4.0.
"""


def student_readme(sets):
    """The text of README.md for some sets."""
    names = [exercises.name for exercises in sets]
    chapters = " and ".join(str(exercises.page.number) for exercises in sets)
    return TEXT.format(
        title=f"Exercises for chapter{'s' * (len(sets) > 1)} {chapters}",
        s="s" * (len(sets) > 1),
        notebooks=", ".join(f"`{name}.ipynb`" for name in names),
        task=next(iter(sets[0].tasks)),
    )

"""`coursekit review` in a terminal: a question, Enter, the answer, a grade."""

from coursekit.files import say
from coursekit.memory.history import GRADES
from coursekit.memory.plain import plain
from coursekit.memory.session import Session

HOW = "How well did you know it?  1 again   2 hard   3 good   4 easy   (q ends) "
ENDS = ("q", "quit")


def ask(upto=None, number=None):
    """Ask today's cards. Ends at the last, with q, or where the input ends (Ctrl-D)."""
    session = Session(upto, number)
    if session.card:
        count = f"{session.total} question{'s' * (session.total != 1)}"
        say(f"{count} today. Answer aloud, then press Enter to compare; q ends.")
    while session.card:
        say("", f"--- {session.title()} ---", "", plain(session.card.prompt), "")
        if typed("[Enter shows the answer] ") in ENDS:
            break
        say("", plain(session.card.answer), "")
        grade = graded()
        if grade is None:
            break
        say(session.grade(grade))
    say("", session.end() if not session.card else "Stopped: what you graded is kept.")


def graded():
    """The grade that the reader types; None to end."""
    while (answer := typed(HOW)) not in ENDS:
        if answer in GRADES:
            return answer
        if answer in ("1", "2", "3", "4"):
            return GRADES[int(answer) - 1]
        say("type 1, 2, 3 or 4, or q to end")
    return None


def typed(question):
    """What the reader types, in small letters."""
    try:
        return input(question).strip().lower()
    except EOFError:
        say("")
        return "q"

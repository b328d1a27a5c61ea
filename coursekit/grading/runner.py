"""Inside the sandbox: runs one student's notebook, and sends the results out. Judges nothing.

`python -m coursekit.grading.runner JOB`, where JOB is a folder with job.json and the cases. What it
sends, through the pipe that was its standard output: a frame "#ready", a frame "#run N" before each
cell, the results of each task, "#failed TASK" with the error of an answer's own cell, and "#end".
"""

import json
import os
import sys
from pathlib import Path


def main(job):
    from coursekit.grading.jail import enter

    about = json.loads(Path(job, "job.json").read_text("utf-8"))
    enter(about["limits"], one_process=not about["command"])
    pipe = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    if about["command"]:  # nbval: another program, with the same limits
        os.dup2(nowhere, 0)
        os.execv(about["command"][0], about["command"])
    for number in (0, 1):
        os.dup2(nowhere, number)
    os.environ["COURSEKIT_INPUTS"] = str(Path(job, "in"))
    os.environ["COURSEKIT_OUTPUTS"] = f"fd:{pipe}"
    run_cells(about["cells"], f"fd:{pipe}")


def run_cells(cells, pipe):
    """Run the cells as a notebook does, each even if one before it failed."""
    from coursekit.checking.cases import Result
    from coursekit.checking.meter import guard
    from coursekit.checking.record import send
    from coursekit.checking.whose import described, reader_wrote
    from coursekit.grading.shell import new_shell

    shell = new_shell()
    guard(reader_wrote, others=False)  # before an answer can keep what it replaces
    send(pipe, "#ready", None)
    os.dup2(0, 2)  # until here, an error of ours was to be seen
    for number, cell in enumerate(cells):
        send(pipe, f"#run {number}", None)
        done = shell.run_cell(cell["source"], store_history=False, silent=False)
        error = done.error_before_exec or done.error_in_exec
        if error is not None and cell["check"]:
            # The check could not even be called: one result instead of one list a case.
            send(pipe, cell["check"], [[Result(0, "error", described(error))]])
        elif error is not None and cell["task"]:
            send(pipe, f"#failed {cell['task']}", described(error))
    send(pipe, "#end", None)
    os._exit(0)  # a thread or an exit handler of a student's must not keep us


if __name__ == "__main__":
    main(sys.argv[1])

"""`python -m coursekit grade`: from a folder of submissions to marks and pages for students."""

import sys
from contextlib import closing

from coursekit.checking.tasks import find_set
from coursekit.classroom.class_page import paths, write_pages
from coursekit.classroom.graded import class_of
from coursekit.files import BookError
from coursekit.grading import report, results
from coursekit.grading.grader import Grader
from coursekit.grading.scratch import scratch_folder
from coursekit.grading.submission import read_submission, student_folders


def grade(options):
    """Grade all submissions; return the exit code: 1 if one of them could not be graded."""
    exercises = find_set(options.assignment)
    folders, beside = student_folders(options.submissions)
    out = options.out
    inside = options.submissions.resolve()
    if out.resolve().is_relative_to(inside):
        raise BookError(f"--out {out} lies inside the submissions: choose another folder")
    if any(inside.is_relative_to((out / part).resolve()) for part in results.FOLDERS):
        raise BookError(f"--out {out} would write among the submissions: choose another folder")
    seed = results.remembered_seed(out, exercises, options.seed)
    if beside:
        more = f" and {len(beside) - 5} more" if len(beside) > 5 else ""
        names = ", ".join(beside[:5])
        print(f"not graded, as it lies in no student's folder: {names}{more}", file=sys.stderr)
    limits = {"timeout": options.timeout, "memory": options.memory, "nbval": not options.no_nbval}
    submissions, done = [], {}
    again = chosen(options.again or [], folders)
    for folder in folders:
        submission = read_submission(folder, exercises)
        old = results.load(out, submission.key, exercises)
        same = old and old.digest == submission.digest and old.limits == limits
        is_there = not submission.problem and not submission.trouble
        if same and is_there and folder.name not in again:
            done[submission.key] = old
        submissions.append(submission)
    waiting = [submission for submission in submissions if submission.key not in done]
    if done:
        print(f"{len(done)} of {len(submissions)} were graded before, and are kept")
    with scratch_folder() as scratch:
        if options.no_sandbox:
            print("without a sandbox: students' code runs with your own rights", file=sys.stderr)
        with closing(Grader(exercises, seed, scratch, limits, options)) as grader:
            grader.try_out()
            for result in progress_bar(grader.grade_all(waiting), len(waiting)):
                if not result.trouble:
                    results.save(out, result)
                done[result.key] = result
    found = [done[submission.key] for submission in submissions]
    report.write_all(out, exercises, found)
    handed_in = zip(folders, submissions, strict=True)
    write_pages(out, class_of(exercises, list(zip(handed_in, found, strict=True))))
    print(report.summary(out, exercises, found))
    print(paths(out))
    return 1 if any(result.trouble for result in found) else 0


def chosen(names, folders):
    """The folders' names that --again asks for."""
    here = {folder.name for folder in folders}
    if "all" in names:
        return here
    for name in names:
        if name not in here:
            raise BookError(f"--again {name}: there is no such student")
    return set(names)


def progress_bar(found, total):
    """The results, with a bar on a terminal."""
    from tqdm import tqdm

    return tqdm(found, total=total, unit="student", disable=None)

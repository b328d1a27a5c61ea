"""Every exercise is checked in its page: blank, right, wrong, and progress after a reload."""

import json

import pytest
from pages import ROOT, code_cells, text_of

from coursekit.checking.tasks import load_set
from coursekit.source import read_page

SETS = sorted(path.stem for path in (ROOT / "exercises").glob("*.ipynb"))


def tasks_of(name, site):
    """(task, number of its answer cell, number of its check cell, our answer), in order."""
    cells = json.loads((site.folder / "live" / "pages" / "exercises" / f"{name}.json").read_text())
    cells = cells["cells"]
    answers = {c["answer"]: (n, c["solution"]) for n, c in enumerate(cells) if "answer" in c}
    checks = {c["check"]: n for n, c in enumerate(cells) if "check" in c}
    return [(task, answers[task][0], checks[task], answers[task][1]) for task in checks]


def exercise_checks(name):
    cells = read_page(ROOT, f"book/exercises/{name}.py").cells
    return [cell["metadata"] for cell in cells if "check" in cell["metadata"]]


@pytest.mark.parametrize("name", SETS)
def test_blank_then_our_answers_then_the_same_after_a_reload(live, site, name):
    tasks = tasks_of(name, site)
    live.open(f"exercises/{name}").start().run_all()
    for task, _, check, _ in tasks:
        assert f"{task} is not written yet" in live.printed(check)
        assert live.cell(check).get_by_text("Show our answer").count() == 0
    for _, answer, _, solution in tasks:
        live.type(answer, solution)
    live.run_all()
    for task, _, check, _ in tasks:
        assert live.printed(check).startswith(f"{task}: right"), live.printed(check)
        live.cell(check).get_by_text("Show our answer").wait_for()
    total = sum(c["points"] for c in exercise_checks(name))
    live.page.get_by_text(f"{total} of {total} points").wait_for()
    live.page.reload()
    live.page.wait_for_selector(".cm-content")
    live.page.get_by_text(f"{total} of {total} points").wait_for()
    assert live.text(tasks[0][1]).split() == tasks[0][3].split()
    live.cell(tasks[0][2]).get_by_text("Show our answer").click()
    assert live.cell(tasks[0][2]).locator(".live-answer").inner_text() == tasks[0][3]
    assert text_of(code_cells(f"exercises/{name}.ipynb")[tasks[0][1]]["source"]) != tasks[0][3]


def test_a_known_mistake_has_its_diagnosis_and_hints_count(live, site):
    task = "linear-backward"
    mistake = load_set("03_linear").tasks[task].of_kind("mistake")[0]
    [(_, first, _, forward), (_, answer, check, _), *_] = tasks_of("03_linear", site)
    live.open("exercises/03_linear").start()
    live.type(first, forward)
    live.type(answer, mistake.source)
    live.run_all()
    assert live.printed(check).startswith(f"{task}: not right yet")
    assert mistake.message in live.printed(check)
    for number in (1, 2):
        live.cell(check).get_by_role("button", name="hint for linear-backward").click()
        live.wait()
        assert f"Hint {number} of" in live.printed(check)
    live.press("Status")
    live.wait()
    shown = live.page.locator(".live-bar + div .cell_output").inner_text()
    [line] = [line for line in shown.split("\n") if line.split()[:1] == ["linear-backward"]]
    assert "wrong" in line and "2 hints" in line
    assert " of " in shown.strip().split("\n")[-1]


def test_the_front_page_shows_the_points_of_every_set(live, site):
    live.page.goto(f"{site.address}/index.html")
    bars = live.page.locator("#live-progress progress")
    bars.first.wait_for()
    assert bars.count() == len(SETS)
    assert {bar.evaluate("bar => bar.value") for bar in bars.all()} == {0}
    known = {"version": 1, "state": "right"}
    live.page.evaluate(
        """text => new Promise(resolve => {
            const asked = indexedDB.open("numpygpt-book", 1);
            asked.onsuccess = () => {
                const files = asked.result.transaction("files", "readwrite").objectStore("files");
                files.put(text, ".progress/linear-backward.json").onsuccess = resolve;
            };
        })""",
        json.dumps(known),
    )
    live.page.reload()
    bars.first.wait_for()
    assert sum(bar.evaluate("bar => bar.value") > 0 for bar in bars.all()) == 1

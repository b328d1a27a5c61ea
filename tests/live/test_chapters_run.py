"""Every chapter runs in its page, and what it prints there is what is stored."""

import json
import os
from pathlib import Path

import pytest
from conftest import Live
from pages import ROOT, code_cells, printed

CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
NOT_COMPARED = {"measurement", "raises-exception", "slow", "own-computer", "skip-execution"}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_prints_in_its_page_what_is_stored(live, name):
    live.open(f"notebooks/{name}").start().run_all()
    cells = code_cells(f"notebooks/{name}.ipynb")
    ran = [n for n in range(len(cells)) if live.state(n) not in (None, "stored")]
    failed = {n: live.printed(n)[-300:] for n in ran if live.state(n) == "failed"}
    assert failed == {}
    compared = [n for n in ran if not NOT_COMPARED & set(cells[n]["metadata"].get("tags", []))]
    other = {
        n: (live.printed(n), printed(cells[n]))
        for n in compared
        if live.printed(n) != printed(cells[n])
    }
    assert other == {}
    # What was left out says so; nothing else is.
    left = [n for n in range(len(cells)) if n not in ran]
    for number in left:
        assert live.cell(number).locator(".live-cell-bar span").inner_text()
    print(f"{name}: {len(ran)} of {len(cells)} cells ran, {len(compared)} outputs compared")


@pytest.mark.skipif("SECONDS" not in os.environ, reason="measures only when it is asked to")
def test_seconds_of_slow_cells(site, browser):
    """Write how long each slow cell takes in a page into the file $SECONDS."""
    found = {}
    for name in CHAPTERS:
        page = json.loads((site.folder / f"live/pages/notebooks/{name}.json").read_text("utf-8"))
        slow = [n for n, cell in enumerate(page["cells"]) if "slow" in cell.get("tags", [])]
        if not slow:
            continue
        context = browser.new_context()
        live = Live(site, context.new_page()).open(f"notebooks/{name}").start()
        live.page.locator(".live-bar button", has_text="the slow cells, too").click()
        live.wait(timeout=3_600_000)
        for number in slow:
            milliseconds = int(live.cell(number).get_attribute("data-live-ms"))
            found[page["cells"][number]["key"]] = round(milliseconds / 1000)
            print(f"{name}, cell {number + 1}: {milliseconds / 1000:.0f} s")
        context.close()
    Path(os.environ["SECONDS"]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

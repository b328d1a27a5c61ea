"""Every chapter runs in its page, and what it prints there is what is stored."""

import contextlib
import json
import os
from pathlib import Path

import psutil
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
    slowest = max(ran, key=live.seconds)
    print(
        f"{name}: {len(ran)} of {len(cells)} cells ran, {len(compared)} outputs compared, "
        f"the slowest is {slowest + 1}: {live.seconds(slowest):.0f} s"
    )


@pytest.mark.skipif("LIVE_SECONDS" not in os.environ, reason="measures only when it is asked to")
def test_seconds_of_slow_cells(site, browser):
    """Write into the file $LIVE_SECONDS how long each slow cell computes in a page.

    The browser's time on the processor counts: what else runs on this machine adds nothing.
    """
    found = {}
    for name in CHAPTERS:
        page = json.loads((site.folder / f"live/pages/notebooks/{name}.json").read_text("utf-8"))
        if not any("slow" in cell.get("tags", []) for cell in page["cells"]):
            continue
        context = browser.new_context()
        live = Live(site, context.new_page()).open(f"notebooks/{name}").start()
        for number, cell in enumerate(page["cells"]):
            tags = cell.get("tags", [])
            if not {"own-computer", "skip-execution"} & set(tags):
                before = seconds_computed()
                live.run(number, timeout=3_600_000)
                if "slow" in tags:
                    found[cell["key"]] = round(seconds_computed() - before)
                    print(f"{name}, cell {number + 1}: {found[cell['key']]} s", flush=True)
                    assert found[cell["key"]] >= 10, "it is not slow: the tag is another cell's"
                assert live.state(number) == "done"
        context.close()
    Path(os.environ["LIVE_SECONDS"]).write_text(
        json.dumps(found, indent=1) + "\n", encoding="utf-8"
    )


def seconds_computed():
    """The processor's time of all processes of our Chromium so far."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name():
                total += sum(process.cpu_times()[:2])
    return total

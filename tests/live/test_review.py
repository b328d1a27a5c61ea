"""Questions on the front page: the same days as in a terminal, and what is answered stays."""

import json
import random
import subprocess
from datetime import date, timedelta

import pytest

from coursekit.memory import schedule
from coursekit.memory.cards import all_cards
from coursekit.memory.history import GRADES

# Days in the browser are those of a clock that we set.
TODAY = date(2026, 11, 30)
CARDS = list(all_cards().values())
COMPARE = """
import { due, plan } from "./schedule.mjs";
const said = JSON.parse(await new Response(process.stdin).text());
const entries = (reviews) => reviews.map(([day, grade]) => ({ day, grade }));
console.log(JSON.stringify({
  due: said.due.map((reviews) => due(entries(reviews))),
  plan: said.plan.map(([ids, known, today]) =>
    plan(ids, Object.fromEntries(ids.map((id) => [id, entries(known[id])])), today)),
}));
"""


def some_reviews(rng, most):
    """What a reader may have answered: on the right day, late, or twice on a day."""
    reviews, day = [], TODAY - timedelta(rng.randint(0, 300))
    for _ in range(rng.randint(0, most)):
        reviews.append((day, rng.choice([*GRADES, "good"])))
        if rng.random() < 0.8:
            day = schedule.due(reviews) + timedelta(rng.choice([0, 0, 1, 3, 30]))
        if day.year > 2040:
            break
    return reviews


def spelled(reviews):
    return [(day.isoformat(), grade) for day, grade in reviews]


def test_a_browser_asks_on_the_days_on_which_a_terminal_does(site, tmp_path):
    rng = random.Random(3)
    histories = [some_reviews(rng, 12) for _ in range(400)]
    plans = []
    for _ in range(60):
        known = {f"c{n}": some_reviews(rng, 3) for n in range(rng.randint(0, 25))}
        plans.append(([*known], known))
    asked = {
        "due": [spelled(reviews) for reviews in histories],
        "plan": [
            (ids, {name: spelled(reviews) for name, reviews in known.items()}, TODAY.isoformat())
            for ids, known in plans
        ],
    }
    assets = site.make["assets"]
    esbuild = assets.package("esbuild") / "bin" / "esbuild"
    source = site.make["HERE"] / "schedule.js"
    options = ["--bundle", "--format=esm", f"--outfile={tmp_path}/schedule.mjs"]
    env = {"NODE_PATH": str(assets.HOME / "node_modules")}
    subprocess.run([esbuild, source, *options, "--log-level=error"], env=env, check=True)
    (tmp_path / "compare.mjs").write_text(COMPARE)
    done = subprocess.run(
        ["node", tmp_path / "compare.mjs"],
        input=json.dumps(asked), capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    answered = json.loads(done.stdout)
    days = [schedule.due(reviews) for reviews in histories]
    assert answered["due"] == [day and day.isoformat() for day in days]
    assert answered["plan"] == [schedule.plan(ids, known, TODAY, 10) for ids, known in plans]
    assert sum(map(bool, answered["plan"])) > 40


@pytest.fixture
def front(live):
    """The front page on a day of ours, before a question is asked."""
    live.page.clock.install(time=f"{TODAY}T12:00:00")
    live.page.goto(f"{live.site.address}/index.html")
    live.page.get_by_role("button", name="Ask me today's questions").wait_for()
    return live


def begin(live):
    live.page.get_by_role("button", name="Ask me today's questions").click()
    live.page.locator("#live-review select").wait_for()


def box(live):
    return live.page.locator("#live-review")


def answer(live, grade):
    box(live).get_by_role("button", name="Show the answer").click()
    box(live).get_by_role("button", name=grade, exact=True).click()


def kept(live):
    """{path: text} of the browser's files."""
    return live.page.evaluate(
        """() => new Promise((resolve) => {
            indexedDB.open("numpygpt-book").onsuccess = ({ target: { result } }) => {
                const files = result.transaction("files").objectStore("files");
                const [keys, values] = [files.getAllKeys(), files.getAll()];
                values.onsuccess = () => resolve(
                    Object.fromEntries(keys.result.map((key, i) => [key, values.result[i]]))
                );
            };
        })"""
    )


def test_today_s_questions_are_asked_and_what_was_answered_stays(front):
    begin(front)
    first, second = CARDS[:2]
    box(front).get_by_text("1 of 5, chapter 0").wait_for()
    question = box(front).locator("div > div").first
    assert question.inner_text().strip() == " ".join(first.prompt.replace("`", "").split())
    assert not box(front).locator(".live-answer-said").count()
    answer(front, "again")
    box(front).get_by_text("again: it comes once more today").wait_for()
    answer(front, "easy")
    box(front).get_by_text("easy: it comes back in 8 days, on Tuesday, December 8").wait_for()
    box(front).get_by_text("2 of 5").wait_for()
    files = kept(front)
    assert json.loads(files[f".progress/cards/{first.id}.json"]) == {
        "version": 1, "reviews": [{"day": "2026-11-30", "grade": "again"}]
    }  # fmt: skip
    assert json.loads(files[f".progress/cards/{second.id}.json"])["reviews"][0]["grade"] == "easy"
    front.page.reload()
    begin(front)
    box(front).get_by_text("1 of 3, chapter 0").wait_for()  # five are new on a day
    for _ in range(3):
        answer(front, "good")
    box(front).get_by_text("That was all for today. The next question comes tomorrow.").wait_for()
    assert not front.trouble


def test_a_reader_names_the_chapter_that_they_have_read(front):
    begin(front)
    box(front).locator("select").select_option("3")
    for _ in range(5):
        answer(front, "easy")
    assert json.loads(kept(front)[".progress/review.json"]) == {"version": 1, "upto": 3}
    front.page.clock.set_fixed_time(f"{TODAY + timedelta(1)}T09:00:00")
    front.page.reload()
    begin(front)
    assert box(front).locator("select").input_value() == "3"
    box(front).get_by_text("1 of 5").wait_for()
    assert not front.trouble


def test_two_clicks_grade_one_question(front):
    begin(front)
    box(front).get_by_role("button", name="Show the answer").click()
    good = box(front).get_by_role("button", name="good", exact=True)
    good.evaluate("button => { button.click(); button.click(); }")
    box(front).get_by_text("2 of 5").wait_for()
    assert box(front).get_by_role("button", name="Show the answer").is_visible()
    answer(front, "good")
    box(front).get_by_text("3 of 5").wait_for()
    texts = {path: text for path, text in kept(front).items() if "/cards/" in path}
    assert sorted(texts) == sorted(f".progress/cards/{card.id}.json" for card in CARDS[:2])


def test_a_page_that_cannot_be_had_is_asked_for_again(front):
    front.page.route("**/00_welcome.html", lambda route: route.fulfill(status=503))
    begin(front)
    box(front).get_by_text("The question is not to be had at the moment").wait_for()
    front.page.unroute("**/00_welcome.html")
    box(front).get_by_role("button", name="Try again").click()
    box(front).get_by_text("1 of 5").wait_for()
    assert front.page.evaluate("document.activeElement.textContent") == "Show the answer"
    front.trouble.clear()  # the browser has noted that page


def put(live, path, text):
    live.page.evaluate(
        """([path, text]) => new Promise((resolve) => {
            indexedDB.open("numpygpt-book").onsuccess = ({ target: { result } }) => {
                const files = result.transaction("files", "readwrite").objectStore("files");
                files.put(text, path).onsuccess = resolve;
            };
        })""",
        [path, text],
    )


def test_a_damaged_file_is_kept_and_what_a_later_version_added_stays(front):
    damaged, newer = (f".progress/cards/{card.id}.json" for card in CARDS[:2])
    put(front, damaged, '{"reviews": [{"day"')
    put(front, newer, '{"version": 2, "color": "red", "reviews": []}')
    begin(front)
    answer(front, "good")
    box(front).get_by_text("good: it comes back").wait_for()
    answer(front, "good")
    box(front).get_by_text("3 of 5").wait_for()
    files = kept(front)
    assert files[damaged.replace(".json", "-old1.json")] == '{"reviews": [{"day"'
    assert len(json.loads(files[damaged])["reviews"]) == 1
    known = json.loads(files[newer])
    assert (known["version"], known["color"], len(known["reviews"])) == (2, "red", 1)

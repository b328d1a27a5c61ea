// The questions of today, on the front page. Their words are taken from the chapters' own pages, and
// what was answered is kept as coursekit keeps it: a small file for each question.
import * as history from "./history.js";
import { GRADES, due, later, plan, spoken } from "./schedule.js";
import * as store from "./store.js";

export class Review {
  // `cards` are [{ id, chapter, path }] in the order of the book; `sets` those of the exercises;
  // `root` is the address of the site.
  constructor(place, { cards, sets }, root) {
    Object.assign(this, { place, cards, sets, root, pages: {} });
  }

  async begin() {
    const files = await store.all("files");
    this.today = today();
    this.known = {};
    for (const { id } of this.cards) this.known[id] = await history.reviewsOf(id, files);
    this.last = Math.max(await history.named(files), ...this.sets.filter(({ points }) => begun(points, files)).map(({ path }) => chapterOf(path)));
    this.frame();
    this.choose();
    return this.ask();
  }

  // Today's questions, for what the reader has read.
  choose() {
    const ids = this.cards.filter(({ id, chapter }) => chapter <= this.last || this.known[id].length).map(({ id }) => id);
    this.left = plan(ids, this.known, this.today);
    Object.assign(this, { ids, total: this.left.length, done: 0 });
  }

  async ask() {
    try {
      await (this.left.length ? this.show() : this.end());
    } catch (error) {
      this.box.replaceChildren();
      this.part("p", `The question is not to be had at the moment: ${error?.message ?? error}.`);
      this.button("Try again", () => this.ask());
    }
    this.box.querySelector("button, [tabindex]").focus(); // what had it is gone
  }

  async show() {
    const card = this.cards.find(({ id }) => id === this.left[0]);
    const { question, answer } = await this.words(card);
    this.box.replaceChildren();
    const title = this.part("p", `${this.done + 1} of ${this.total}, `);
    const link = title.appendChild(document.createElement("a"));
    Object.assign(link, { href: this.root + card.path, textContent: `chapter ${card.chapter}` });
    this.part("div").append(...question);
    const show = this.button("Show the answer", () => {
      show.remove();
      const shown = this.part("div");
      shown.className = "live-answer-said";
      shown.append(...answer);
      const [first] = GRADES.map((grade) => this.button(grade, () => this.grade(card, grade)));
      first.focus();
    });
  }

  async grade({ id }, grade) {
    const review = { day: this.today, grade };
    const buttons = [...this.box.querySelectorAll("button")];
    buttons.forEach((button) => (button.disabled = true)); // the second click of two does not count
    try {
      await history.note(id, review);
    } catch (error) {
      buttons.forEach((button) => (button.disabled = false));
      this.status.textContent = `This browser does not keep it (${error?.message ?? error}): the question stays.`;
      return undefined;
    }
    this.known[id] = [...this.known[id], review];
    this.left.shift();
    if (grade === "again") this.left.push(id);
    else this.done += 1;
    const when = grade === "again" ? "once more today" : `back ${spoken(due(this.known[id]), this.today)}`;
    this.status.textContent = `${grade}: it comes ${when}`;
    return this.ask();
  }

  end() {
    this.box.replaceChildren();
    const tomorrow = later(this.today, 1); // also for those that were too many for today
    const days = this.ids.map((id) => due(this.known[id]) ?? tomorrow).sort();
    const first = this.done ? "That was all for today." : "There is nothing to recall today.";
    const said = this.part("p", days.length ? `${first} The next question comes ${spoken(days[0] < tomorrow ? tomorrow : days[0], this.today)}.` : first);
    said.tabIndex = -1;
  }

  // The parts of a page that hold a question and its answer.
  async words({ id, path }) {
    if (!this.pages[path]) {
      const answer = await fetch(this.root + path);
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      this.pages[path] = new DOMParser().parseFromString(await answer.text(), "text/html");
    }
    const page = this.pages[path];
    const folded = page.getElementById(`card-${id}`);
    const question = [];
    for (let part = folded.previousElementSibling; part?.matches("p, ul, ol, div, pre"); part = part.previousElementSibling) {
      question.unshift(part.cloneNode(true));
      if (/^\d+\.$/.test(part.firstElementChild?.textContent) && part.firstChild === part.firstElementChild) break;
    }
    question[0]?.firstElementChild?.remove(); // its number
    const answer = [...folded.childNodes].filter((part) => part.nodeName !== "SUMMARY").map((part) => part.cloneNode(true));
    return { question, answer };
  }

  // What is seen.

  // What stays: the chapter that the reader has reached, and what was said of the last answer.
  frame() {
    const label = document.createElement("label");
    label.append("You have read up to chapter ");
    const select = label.appendChild(document.createElement("select"));
    for (const chapter of new Set(this.cards.map((card) => card.chapter))) select.append(new Option(chapter, chapter));
    select.value = this.last;
    select.addEventListener("change", () => this.name(Number(select.value)));
    this.box = document.createElement("div");
    this.status = document.createElement("p");
    this.status.setAttribute("role", "status");
    this.place.replaceChildren(label, this.box, this.status);
  }

  async name(chapter) {
    await history.name(chapter).catch(() => {}); // it holds for now, if not for tomorrow
    this.last = chapter;
    this.choose();
    return this.ask();
  }

  part(name, words = "") {
    const part = this.box.appendChild(document.createElement(name));
    part.textContent = words;
    return part;
  }

  button(words, act) {
    const button = this.part("button", words);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }
}

function today() {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => `${part}`.padStart(2, "0")).join("-");
}

const chapterOf = (path) => Number(path.match(/\/(\d\d)_/)[1]);

const begun = (points, files) => Object.keys(points).some((task) => `.progress/${task}.json` in files);

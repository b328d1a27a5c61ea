// A page of the book that runs: the only script that a page names. It finds the page's cells, and
// loads editor and Python when the reader asks for them.
import { Cell, minutes } from "./cell.js";
import { showBars, showPoints, stateIn } from "./progress.js";
import * as store from "./store.js";

const BASE = new URL(".", import.meta.url).href;
const BEFORE_SAVING = 250; // milliseconds without a key
// EDITION is what the build puts in here and into worker.js: a page that was open while the site was
// renewed must not talk with a worker that knows other messages, or another book.

class Live {
  constructor(key, page, cells) {
    Object.assign(this, { key, page, cells, worker: null, busy: null, queue: [], lost: {} });
    this.isExercise = page.folder === "exercises";
  }

  // What stands below the title.
  addBar() {
    this.bar = document.createElement("div");
    this.bar.className = "live-bar";
    this.bar.setAttribute("role", "group");
    this.bar.setAttribute("aria-label", "run this page");
    this.status = document.createElement("span");
    this.status.setAttribute("role", "status");
    this.startButton = this.button("Run this page", () => this.begin());
    this.bar.append(this.status);
    const held = document.querySelector("article .live-bar"); // the page keeps the place free
    if (held) held.replaceWith(this.bar);
    else document.querySelector("article h1").after(this.bar);
  }

  button(text, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", act);
    this.bar.insertBefore(button, this.status.parentNode ? this.status : null);
    return button;
  }

  tell(text) {
    this.status.textContent = text;
  }

  // Editors in the place of the stored texts, with what the reader typed before.
  async open() {
    if (this.edit) return;
    ({ edit: this.edit } = await import("./editor.js"));
    const typed = (await this.keep(() => store.get("cells", this.key))) ?? {};
    this.lost = { ...typed };
    for (const cell of this.cells) {
      const events = { run: () => this.runHere(cell), changed: () => this.changed() };
      cell.open(this.edit, typed[cell.known.key], events);
      delete this.lost[cell.known.key];
    }
    this.startButton.remove();
    const slow = this.cells.filter((cell) => cell.has("slow"));
    this.button("Run all", () => this.runAll(false));
    if (slow.length) {
      const seconds = slow.reduce((sum, cell) => sum + (cell.known.seconds ?? 0), 0);
      this.button(`Run all, the slow cells, too (${minutes(seconds)})`, () => this.runAll(true));
    }
    this.stopButton = this.button("Stop", () => this.stop());
    this.button("Reset", () => this.reset());
    if (this.isExercise) {
      this.addTaskButtons();
      this.cells.forEach((cell) => this.offerAnswer(cell)); // to those of an earlier day
    }
    this.button("Save to a file", () => this.save());
    this.button("Read from a file", () => this.read());
    this.showLost();
    document.addEventListener("visibilitychange", () => document.hidden && this.saveCells());
    document.documentElement.dataset.live = "open";
  }

  async begin() {
    const hadFocus = document.activeElement === this.startButton;
    this.startButton.disabled = true;
    this.tell("The editor is being loaded …");
    await this.open();
    if (hadFocus) this.bar.querySelector("button").focus(); // the button that had it is gone
    await this.start();
  }

  // Start Python, once; resolves when it is ready.
  start() {
    this.ready ??= new Promise((resolve) => {
      this.tell("Python is being loaded, about ten megabytes, once …");
      const worker = new Worker(new URL("worker.js", BASE), { type: "module" });
      this.worker = worker; // what an ended one has sent does not count
      worker.onmessage = ({ data }) => worker === this.worker && this.take(data, resolve);
      worker.onerror = (event) => worker === this.worker && this.failed(event.message || "the worker did not start");
      this.keep(() => store.all("files")).then((files) => {
        const { cells, ...page } = this.page;
        worker.postMessage({ type: "start", edition: EDITION, page, files: files ?? {} });
      });
    });
    return this.ready;
  }

  take(message, resolve) {
    const acts = {
      step: () => this.tell(message.text),
      ready: () => {
        this.tell("Ready: Shift+Enter runs a cell.");
        performance.measure("live-ready", { start: performance.now() - message.ms, duration: message.ms });
        document.documentElement.dataset.live = "ready";
        resolve();
        this.next();
      },
      out: () => this.out(message),
      clear: () => this.busy?.cell.clearDrawn(),
      files: () => this.takeFiles(message.files),
      // What was loaded before the service worker was there opens without a network, too.
      loaded: () => navigator.serviceWorker?.controller?.postMessage({ keep: message.urls }),
      done: () => this.done(message),
      failed: () => this.failed(message.message),
    };
    acts[message.type]();
  }

  out(message) {
    const { worker, busy: { cell } } = this;
    cell.out(message, (...move) => {
      if (worker === this.worker) this.move(cell, ...move);
      else this.tell("The Python that drew this figure was stopped: run its cell again.");
    });
  }

  // A reader has no cell to write hint("...") or status() in.
  addTaskButtons() {
    for (const cell of this.cells) {
      const task = cell.known.check;
      if (task && cell.box) cell.button("Hint", () => this.enqueue(cell, `from coursekit import hint; hint("${task}")`), `hint for ${task}`);
    }
    const box = document.createElement("div");
    this.bar.after(box);
    const extra = new Cell(box, { source: "from coursekit import status; status()" }, -1);
    this.button("Status", () => this.enqueue(extra));
  }

  // Run.

  runHere(cell) {
    this.enqueue(cell);
    const next = this.cells.slice(cell.index + 1).find((one) => one.editor);
    next?.editor.focus();
  }

  enqueue(cell, source) {
    if (cell.state === "queued") return;
    cell.set("queued");
    this.queue.push({ cell, source });
    this.start();
    this.next();
  }

  runAll(slowToo) {
    const will = new Set();
    for (const cell of this.cells) {
      const { needs = [] } = cell.known;
      const missing = needs.find((index) => !will.has(index) && this.cells[index].state !== "done");
      if (cell.has("own-computer")) continue;
      if (cell.has("slow") && !slowToo) cell.note("what stands below is stored: run it when you have the time");
      else if (missing !== undefined) cell.note(`what stands below is stored: it needs cell ${missing + 1}`);
      else {
        cell.note("");
        will.add(cell.index);
        this.enqueue(cell);
      }
    }
  }

  next() {
    if (this.busy || !this.queue.length || document.documentElement.dataset.live !== "ready") return;
    this.busy = this.queue.shift();
    const { cell, move, source = cell.text } = this.busy;
    if (move) {
      this.worker.postMessage({ type: "move", ...move });
      return;
    }
    cell.begin();
    this.tell(cell.index < 0 ? "" : `Cell ${cell.index + 1} is running …`);
    const cells = this.cells.map((one) => ({ ...one.known, source: one.text, solution: undefined }));
    this.worker.postMessage({ type: "run", source, cells });
  }

  done({ ok, ms }) {
    const { cell, move } = this.busy;
    this.busy = null;
    if (!move) {
      const asTold = ok || cell.has("raises-exception");
      cell.set(asTold ? "done" : "failed");
      if (cell.box) cell.box.dataset.liveMs = Math.round(ms);
      if (this.isExercise) this.offerAnswer(cell);
      else if (!asTold) this.forgetQueue();
      const time = ms > 1000 ? `, ${(ms / 1000).toFixed(1)} seconds` : "";
      this.tell(this.queue.length || cell.index < 0 ? "" : `Cell ${cell.index + 1} ${asTold ? "ran" : "failed"}${time}.`);
    }
    this.next();
  }

  // A slider that moves on while a figure is drawn: its last place counts.
  move(cell, panel, key, value) {
    const waits = this.queue.find((one) => one.move?.panel === panel && one.move.key === key);
    if (waits) waits.move.value = value;
    else this.queue.push({ cell, move: { panel, key, value } });
    this.next();
  }

  forgetQueue() {
    this.queue.forEach(({ cell, move }) => move || cell.set("stored"));
    this.queue = [];
  }

  end() {
    this.worker?.terminate();
    this.busy?.cell.set("failed");
    this.forgetQueue();
    Object.assign(this, { worker: null, ready: null, busy: null });
    document.documentElement.dataset.live = "open";
    this.cells.forEach((cell) => cell.state === "done" && cell.set("ran"));
  }

  stop() {
    this.end();
    this.tell("Stopped. What ran is forgotten: Python starts anew with the next cell, so run what it needs first.");
  }

  failed(message) {
    this.end();
    this.tell(`Python stopped: ${message}. Run a cell to start it again.`);
  }

  // What is kept.

  async keep(act) {
    try {
      return await act();
    } catch (error) {
      this.tell(`This browser keeps nothing here (${error?.message ?? error}): save to a file what you need.`);
      return undefined;
    }
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.saveCells(), BEFORE_SAVING);
  }

  saveCells() {
    clearTimeout(this.timer);
    const texts = { ...this.lost };
    for (const cell of this.cells) if (cell.isChanged) texts[cell.known.key] = cell.text;
    return this.keep(() => store.set("cells", this.key, Object.keys(texts).length ? texts : null));
  }

  async takeFiles(files) {
    // All at once: whoever asks for one of them after this finds it.
    const entries = Object.entries(files);
    await this.keep(() => Promise.all(entries.map(([path, text]) => store.set("files", path, text))));
    if (this.isExercise) await this.showPoints();
  }

  async showPoints() {
    const files = (await this.keep(() => store.all("files"))) ?? {};
    this.points ??= this.bar.appendChild(document.createElement("span"));
    showPoints(this.points, this.page.points ?? {}, files);
    return files;
  }

  // After an honest try: a check that found an answer written.
  async offerAnswer(cell) {
    const task = cell.known.check;
    if (!task || cell.offered) return;
    const file = await this.keep(() => store.get("files", `.progress/${task}.json`));
    const answer = this.cells.find((one) => one.known.answer === task);
    if (cell.offered || !["right", "wrong"].includes(stateIn(file)) || !answer?.known.solution) return;
    cell.offered = cell.button("Show our answer", () => {
      const pre = document.createElement("pre");
      pre.className = "live-answer";
      pre.textContent = answer.known.solution;
      pre.tabIndex = -1;
      cell.bar.after(pre);
      cell.offered.remove();
      pre.focus();
    }, `show our answer to ${task}`);
  }

  async reset() {
    const question = "Bring this page back as it was? What you typed here, what it exported and its progress are deleted.";
    if (!confirm(question)) return;
    this.end();
    clearTimeout(this.timer);
    this.cells.forEach((cell) => cell.restore());
    clearTimeout(this.timer); // restoring has changed the editors
    this.lost = {};
    this.showLost();
    const tasks = Object.keys(this.page.points ?? {}).map((task) => `.progress/${task}.json`);
    const modules = this.page.modules.map((module) => `numpygpt/${module}`);
    for (const path of [...tasks, ...modules]) await this.keep(() => store.set("files", path, null));
    await this.keep(() => store.set("cells", this.key, null));
    if (this.isExercise) await this.showPoints();
    this.tell("The page is as it was.");
  }

  // Texts whose cells are not in this edition of the page.
  showLost() {
    this.lostBox?.remove();
    const texts = Object.values(this.lost);
    if (!texts.length) return;
    this.lostBox = document.createElement("details");
    this.lostBox.className = "live-lost";
    const title = this.lostBox.appendChild(document.createElement("summary"));
    title.textContent = `${texts.length} text${texts.length > 1 ? "s" : ""} of yours, of cells that this edition has changed`;
    for (const text of texts) this.lostBox.appendChild(document.createElement("pre")).textContent = text;
    this.bar.after(this.lostBox);
  }

  async save() {
    await this.saveCells();
    const text = await this.keep(() => store.saved());
    if (text === undefined) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "numpygpt-book.json";
    link.click();
    URL.revokeObjectURL(link.href);
    this.tell("Saved: numpygpt-book.json holds what you typed, exported and solved, on all pages.");
  }

  read() {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", accept: ".json,application/json" });
    input.addEventListener("change", async () => {
      try {
        await store.read(await input.files[0].text());
        clearTimeout(this.timer);
        location.reload();
      } catch (error) {
        this.tell(`Nothing was read: ${error.message}.`);
      }
    });
    input.click();
  }
}

// The page's cells: each that the build knows, with its box on the page; null for a hidden one.
function pair(known, boxes) {
  const plain = (text) => text.replace(/\s+$/gm, "").trim();
  const left = [...boxes];
  return known.map((cell, index) => {
    const here = left.findIndex((box) => plain(box.querySelector(".cell_input pre").textContent) === plain(cell.source));
    return new Cell(here < 0 ? null : left.splice(0, here + 1).at(-1), cell, index);
  });
}

async function json(path) {
  const answer = await fetch(BASE + path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// The front page asks questions when the reader wants it, and loads what it needs for it then.
function offerReview(place) {
  const button = place.appendChild(document.createElement("button"));
  Object.assign(button, { type: "button", textContent: "Ask me today's questions" });
  button.addEventListener("click", async () => {
    try {
      const [{ Review }, index] = await Promise.all([import("./review.js"), json("pages/index.json")]);
      await new Review(place, index, new URL("..", BASE).href).begin();
    } catch (error) {
      place.textContent = `No question can be asked here: ${error?.message ?? error}.`;
    }
  });
}

async function main() {
  const bars = document.getElementById("live-progress");
  if (bars) showBars(bars, await json("pages/index.json"), await store.all("files").catch(() => ({})));
  const questions = document.getElementById("live-review");
  if (questions) offerReview(questions);
  const key = location.pathname.match(/(notebooks|exercises)\/(\w+)(\.html|\/)?$/)?.slice(1, 3).join("/");
  const boxes = [...document.querySelectorAll("div.cell")].filter((box) => box.querySelector(".cell_input pre"));
  if (!key || !boxes.length) return;
  const page = await json(`pages/${key}.json`);
  const live = new Live(key, page, pair(page.cells, boxes));
  live.addBar();
  const typed = await live.keep(() => store.get("cells", key));
  if (live.isExercise) await live.showPoints();
  if (typed) {
    await live.open();
    live.tell("Your text is back. Run a cell, and Python starts.");
  }
}

main();

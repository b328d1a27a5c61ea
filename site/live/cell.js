// One code cell of the page: its stored form, its editor, its outputs, its buttons.
import { add, clearDrawn } from "./outputs.js";

export class Cell {
  // `box` is the page's div.cell, null for a cell that the page does not show; `known` is what the
  // build says of it.
  constructor(box, known, index) {
    Object.assign(this, { box, known, index, state: "stored", editor: null });
    if (box) box.liveCell = this; // for tests: an editor draws only the lines that are in sight
    this.input = box?.querySelector(".cell_input");
    this.stored = box?.querySelector(".cell_output");
    this.place = this.stored;
  }

  get text() {
    return this.editor ? this.editor.text() : this.typed ?? this.known.source;
  }

  get isChanged() {
    return this.text !== this.known.source;
  }

  has(tag) {
    return (this.known.tags ?? []).includes(tag);
  }

  // Put an editor in the place of the stored text, and the cell's buttons below it.
  open(edit, typed, { run, changed }) {
    if (this.editor || !this.box) {
      this.typed = typed;
      return;
    }
    this.shade = this.input.firstElementChild;
    this.shade.hidden = true;
    const holder = document.createElement("div");
    holder.className = "live-editor";
    holder.style.setProperty("--columns", Math.max(1, ...this.known.source.split("\n").map((line) => line.length)));
    this.shade.after(holder);
    const label = `code of cell ${this.index + 1}`;
    this.editor = edit(holder, typed ?? this.known.source, { label, run, changed });
    this.bar = document.createElement("div");
    this.bar.className = "live-cell-bar";
    holder.after(this.bar);
    if (this.has("own-computer")) {
      this.note("needs a computer of your own: threads, processes, or many minutes. There: make lab, and this chapter");
    } else {
      const button = this.button("Run", run, `run cell ${this.index + 1}`);
      if (this.has("slow")) button.textContent = `Run (${minutes(this.known.seconds)} here)`;
    }
  }

  button(text, act, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    if (label) button.setAttribute("aria-label", `${label}${this.has("slow") ? `, ${minutes(this.known.seconds)}` : ""}`);
    button.addEventListener("click", act);
    this.bar.append(button);
    return button;
  }

  note(text) {
    if (!this.bar) return;
    this.words ??= this.bar.appendChild(document.createElement("span"));
    this.words.textContent = text;
  }

  set(state) {
    this.state = state;
    if (this.box) this.box.dataset.live = state;
  }

  begin() {
    this.set("running");
    if (!this.box) return;
    const place = document.createElement("div");
    place.className = "cell_output docutils container";
    if (this.place) this.place.replaceWith(place);
    else this.box.append(place);
    this.place = place;
  }

  out(message, onMove) {
    if (this.place) add(this.place, message, onMove);
  }

  clearDrawn() {
    if (this.place) clearDrawn(this.place);
  }

  // As the page was.
  restore() {
    if (this.place && this.place !== this.stored) {
      if (this.stored) this.place.replaceWith(this.stored);
      else this.place.remove();
      this.place = this.stored;
    }
    this.editor?.put(this.known.source);
    this.typed = undefined;
    this.set("stored");
  }
}

export function minutes(seconds) {
  if (!seconds) return "some minutes";
  return seconds < 90 ? `about ${Math.max(10, Math.round(seconds / 10) * 10)} seconds` : `about ${Math.round(seconds / 60)} minutes`;
}

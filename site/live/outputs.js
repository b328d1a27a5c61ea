// What stands under a cell: built as the static pages have it, so that one style serves both.

// `place` is the element that holds a cell's outputs.
export function add(place, { kind, data }, onMove) {
  if (kind === "panel") return panel(place, JSON.parse(data), onMove);
  const target = place.querySelector(":scope > .live-drawn") ?? place;
  if (kind === "html") {
    const box = element("div", "output text_html");
    box.innerHTML = data;
    target.append(box);
    return;
  }
  const classes = { stdout: "stream", stderr: "stderr", text: "text_plain", error: "traceback" };
  const last = target.lastElementChild;
  const goesOn = kind.startsWith("std") && last?.dataset.kind === kind;
  const box = goesOn ? last : element("div", `output ${classes[kind]} notranslate`);
  if (!goesOn) {
    box.dataset.kind = kind;
    const shade = element("div", "highlight");
    shade.append(element("pre", ""));
    box.append(shade);
    target.append(box);
  }
  const pre = box.querySelector("pre");
  pre.append(data);
  while (pre.firstChild?.length > 0 && pre.textContent.includes("\r")) overwrite(pre);
}

// A progress bar goes back to the start of its line.
function overwrite(pre) {
  pre.textContent = pre.textContent.replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "").replace(/\r/g, "");
}

export function clearDrawn(place) {
  const drawn = place.querySelector(":scope > .live-drawn");
  if (drawn) {
    drawn.style.minHeight = `${drawn.offsetHeight}px`; // the page must not jump while it is drawn anew
    drawn.replaceChildren();
  }
}

function element(name, classes, text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.textContent = text;
  return made;
}

// Native controls, with labels; onMove(panel, key, value) is called as one moves.
function panel(place, { panel: number, controls }, onMove) {
  const form = element("div", "live-panel");
  form.setAttribute("role", "group");
  form.setAttribute("aria-label", "controls of the figure");
  for (const control of controls) {
    const label = element("label", "");
    label.append(element("span", "", control.name));
    const input = control.kind === "area" ? element("textarea", "") : element("input", "");
    const shown = element("output", "");
    SETTERS[control.kind](input, control);
    const show = () => (shown.textContent = wording(input, control));
    input.addEventListener("input", () => {
      show();
      onMove(number, control.key, control.kind === "flag" ? input.checked : input.value);
    });
    show();
    label.append(input, shown);
    form.append(label);
  }
  place.append(form, element("div", "live-drawn"));
}

const range = (input, { min, max, step, value }) => Object.assign(input, { type: "range", min, max, step, value });
const SETTERS = {
  int: range,
  float: range,
  log: range,
  choice: (input, { options, value }) => range(input, { min: 0, max: options.length - 1, step: 1, value }),
  text: (input, { value }) => Object.assign(input, { type: "text", value }),
  area: (input, { value, rows }) => Object.assign(input, { value, rows }),
  flag: (input, { value }) => Object.assign(input, { type: "checkbox", checked: value }),
};

// What stands beside a slider, and what a screen reader says of it.
function wording(input, { kind, options }) {
  if (input.type !== "range") return "";
  const words = {
    choice: () => options[input.value],
    log: () => Number((10 ** input.value).toPrecision(2)).toString(),
  };
  const text = words[kind]?.() ?? input.value;
  input.setAttribute("aria-valuetext", text);
  return text;
}

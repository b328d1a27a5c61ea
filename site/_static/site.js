// An equation or a table that is wider than the page gets smaller letters: nothing scrolls sideways.
const WIDE = 'mjx-container[display="true"], .pst-scrollable-table-container';
const SMALLEST = 0.5; // of the usual size

// First all that is written, then all that is read: a page is laid out once, not for each equation.
const fit = () => {
  // What is out of sight is not laid out yet (site.css), and has its turn when it comes into sight.
  const seen = [...document.querySelectorAll(WIDE)].filter((box) => box.checkVisibility?.({ contentVisibilityAuto: true }) ?? true);
  const boxes = seen.map((box) => [box, box.querySelector("table.table") ?? box]);
  for (const [, letters] of boxes) letters.style.fontSize = "";
  for (const [box, letters] of boxes.filter(([{ scrollWidth, clientWidth }]) => scrollWidth > clientWidth)) {
    const usual = parseFloat(getComputedStyle(letters).fontSize);
    // A few times: a table does not shrink in proportion.
    for (let share = 1; box.scrollWidth > box.clientWidth && share > SMALLEST; ) {
      share = Math.max(SMALLEST, Math.min(0.97, box.clientWidth / box.scrollWidth) * share);
      letters.style.fontSize = `${share * usual}px`;
    }
  }
};

let waiting;
window.addEventListener("load", async () => {
  await document.fonts.ready;
  fit();
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(fit, 200);
  });
  // What is folded has no width yet.
  document.addEventListener("toggle", fit, true);
  document.addEventListener("contentvisibilityautostatechange", ({ skipped }) => skipped || fit(), true);
});

// Without a network the site opens from what was opened before: sw.js keeps that, if it is told what
// this page had loaded before sw.js was there, and which pictures it has not come to.
const HOME = new URL("../", document.currentScript.src).href;

async function keepForLater() {
  await navigator.serviceWorker.register(`${HOME}sw.js`, { updateViaCache: "none" });
  const { active } = await navigator.serviceWorker.ready;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const pictures = [...document.images].map(({ src }) => src);
  active.postMessage({ keep: [...new Set([location.href, ...loaded, ...pictures, ...letters()])] });
  offerAll(active);
}

// Those of the equations that nobody has come to yet.
function letters() {
  const [sheet] = document.styleSheets;
  const fonts = [...sheet.cssRules].filter((rule) => rule instanceof CSSFontFaceRule);
  const found = fonts.map((rule) => rule.style.getPropertyValue("src").match(/url\("?([^")]+)/)[1]);
  return found.map((url) => new URL(url, sheet.href).href);
}

// On the front page: all of the book at once.
function offerAll(worker) {
  const place = document.getElementById("keep-all");
  if (!place) return;
  const [button, status] = place.querySelectorAll("button, [role=status]");
  place.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const files = await (await fetch(`${HOME}files.json`)).json();
    worker.postMessage({ keep: Object.keys(files).map((path) => HOME + path), tell: true });
  });
  navigator.serviceWorker.addEventListener("message", ({ data: { kept, of } }) => {
    status.textContent = kept < of ? `${kept} of ${of} files` : "The whole book is here.";
  });
}

window.addEventListener("load", async () => {
  try {
    await keepForLater();
  } catch {
    // a private window, or an address without https: the page works as it is
  }
});

// An equation or a table that is wider than the page gets smaller letters: nothing scrolls sideways.
const WIDE = 'mjx-container[display="true"], .pst-scrollable-table-container';
const SMALLEST = 0.5; // of the usual size

const fit = () => {
  for (const box of document.querySelectorAll(WIDE)) {
    const letters = box.querySelector("table.table") ?? box;
    letters.style.fontSize = "";
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
  await window.MathJax?.startup?.promise;
  fit();
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(fit, 200);
  });
  // What is folded has no width yet.
  document.addEventListener("toggle", fit, true);
});

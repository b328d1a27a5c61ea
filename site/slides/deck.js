// Keys turn the slides; a slide that is too full gets smaller letters, never less than 60 percent.
const slides = [...document.querySelectorAll("section")];
const now = () => slides.findIndex((slide) => slide.getBoundingClientRect().bottom > innerHeight / 2);
const go = (number) => slides[Math.max(0, Math.min(slides.length - 1, number))].scrollIntoView();
const steps = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in steps) go(now() + (event.key === " " && event.shiftKey ? -1 : steps[event.key]));
  else if (event.key === "Home") go(0);
  else if (event.key === "End") go(slides.length - 1);
  else return;
  event.preventDefault();
});

const full = (box) => box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1;

document.fonts.ready.then(() => {
  for (const box of document.querySelectorAll(".below")) {
    for (let size = 100; size >= 60 && full(box); size -= 4) box.style.fontSize = `${size}%`;
  }
  document.documentElement.dataset.fitted = "";
});

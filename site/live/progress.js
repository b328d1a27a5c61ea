// Points: of a set on its page, of all sets on the front page.

const pointsOf = (tasks, files) =>
  Object.entries(tasks).reduce((sum, [task, points]) => sum + (stateIn(files[`.progress/${task}.json`]) === "right" ? points : 0), 0);

const total = (tasks) => Object.values(tasks).reduce((sum, points) => sum + points, 0);

// "right", "wrong" and others, in the text of a file of progress, which may be missing.
export function stateIn(text) {
  try {
    return JSON.parse(text ?? "{}").state;
  } catch {
    return undefined; // damaged by something else: as if it were not there
  }
}

export function showPoints(place, tasks, files) {
  place.className = "live-points";
  place.textContent = `${pointsOf(tasks, files)} of ${total(tasks)} points`;
}

// A bar for each exercise set: its title leads to the set.
export function showBars(place, { sets }, files) {
  const list = document.createElement("ul");
  list.className = "live-bars";
  for (const { path, title, points } of sets) {
    const [done, all] = [pointsOf(points, files), total(points)];
    const item = list.appendChild(document.createElement("li"));
    const link = item.appendChild(document.createElement("a"));
    link.href = path;
    link.textContent = title;
    const bar = item.appendChild(document.createElement("progress"));
    Object.assign(bar, { max: all, value: done });
    bar.setAttribute("aria-label", `${title}: ${done} of ${all} points`);
    item.append(` ${done} of ${all} points`);
  }
  place.replaceChildren(list);
}

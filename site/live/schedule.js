// When a question comes back, and which are asked today: what coursekit/memory/schedule.py does, from
// the same files. A test holds the two together.
import { FSRSAlgorithm } from "ts-fsrs";

export const GRADES = ["again", "hard", "good", "easy"];
const AT_MOST = 10; // questions a day
const NEW = 5; // of them never asked before
const DAY = 24 * 3600 * 1000;
const algorithm = new FSRSAlgorithm({ enable_fuzz: false });

// Days are texts, such as "2026-11-30": they sort as they are.
export const later = (day, days) => new Date(Date.parse(day) + days * DAY).toISOString().slice(0, 10);

// The day on which a question comes back, from its [{ day, grade }]; undefined if it was never asked.
export function due(reviews) {
  let memory = null;
  let last;
  for (const { day, grade } of reviews) {
    const away = last ? (Date.parse(day) - Date.parse(last)) / DAY : 0;
    memory = algorithm.next_state(memory, away, GRADES.indexOf(grade) + 1);
    last = day;
  }
  return last && later(last, algorithm.next_interval(memory.stability, 0));
}

// The ids of today's questions: those that are due, the longest waiting first, then new ones.
export function plan(ids, known, today) {
  const asked = ids.filter((id) => known[id].some(({ day }) => day === today));
  const newToday = asked.filter((id) => known[id][0].day === today).length;
  const waits = Object.fromEntries(ids.map((id) => [id, due(known[id])]));
  const waiting = ids.filter((id) => waits[id] <= today).sort((a, b) => (waits[a] < waits[b] ? -1 : waits[a] > waits[b] ? 1 : 0));
  const fresh = ids.filter((id) => !known[id].length).slice(0, Math.max(0, NEW - newToday));
  return [...waiting, ...fresh].slice(0, Math.max(0, AT_MOST - asked.length));
}

// As a reader says it: "tomorrow", "in 5 days, on Monday, December 7".
export function spoken(day, today) {
  const away = Math.round((Date.parse(day) - Date.parse(today)) / DAY);
  if (away === 1) return "tomorrow";
  const year = day.slice(0, 4) === today.slice(0, 4) ? {} : { year: "numeric" };
  const words = new Date(Date.parse(day)).toLocaleDateString("en-US", { timeZone: "UTC", weekday: "long", month: "long", day: "numeric", ...year });
  return `in ${away} days, on ${words}`;
}

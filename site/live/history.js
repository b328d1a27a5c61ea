// What the reader answered, and how far they have read, in the files that this browser keeps: those
// of coursekit/memory/history.py, one for each question.
import { GRADES } from "./schedule.js";
import * as store from "./store.js";

const NAMED = ".progress/review.json"; // the last chapter that the reader named

const fileOf = (id) => `.progress/cards/${id}.json`;

// The [{ day, grade }] of a question in the order of the days; those of one day as they came.
export async function reviewsOf(id, files) {
  const { reviews = [] } = await object(fileOf(id), files[fileOf(id)], isHistory);
  return [...reviews].sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : 0));
}

export async function note(id, review) {
  const path = fileOf(id);
  const known = await object(path, await store.get("files", path), isHistory);
  await write(path, { ...known, reviews: [...(known.reviews ?? []), review] });
}

export async function named(files) {
  const { upto = 0 } = await object(NAMED, files[NAMED], namesChapter);
  return upto;
}

export async function name(chapter) {
  await write(NAMED, { ...(await object(NAMED, await store.get("files", NAMED), namesChapter)), upto: chapter });
}

const isHistory = ({ reviews = [] }) =>
  Array.isArray(reviews) && reviews.every((one) => GRADES.includes(one?.grade) && !Number.isNaN(Date.parse(one?.day)));

const namesChapter = ({ upto = 0 }) => Number.isInteger(upto);

// The object in a text, of the file `path`; {} if there is none. A damaged one is kept beside it, and begun anew.
async function object(path, text, isGood) {
  if (text === undefined) return {};
  try {
    const known = JSON.parse(text);
    if (known !== null && typeof known === "object" && !Array.isArray(known) && isGood(known)) return known;
  } catch {
    // Not JSON.
  }
  const old = (number) => path.replace(/\.json$/, `-old${number}.json`);
  let number = 1;
  while ((await store.get("files", old(number))) !== undefined) number += 1;
  await store.set("files", old(number), text);
  await store.set("files", path, null);
  return {};
}

const write = (path, known) => store.set("files", path, `${JSON.stringify({ version: 1, ...known }, null, 1)}\n`);

// What the reader typed, exported and solved: kept in this browser (IndexedDB), and in a file.
// Two tables: "cells" holds, by page, {id of a cell: its text}; "files" holds texts by their path
// in the book's folder: modules that were exported, and the progress.
const NAME = "numpygpt-book";
const TABLES = ["cells", "files"];

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => TABLES.forEach((table) => asked.result.createObjectStore(table));
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opened;
}

async function within(table, mode, act) {
  const transaction = (await database()).transaction(table, mode);
  const result = act(transaction.objectStore(table));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(result?.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

export const get = (table, key) => within(table, "readonly", (store) => store.get(key));

export function set(table, key, value) {
  return within(table, "readwrite", (store) => (value == null ? store.delete(key) : store.put(value, key)));
}

// All of a table as one object.
export async function all(table) {
  const [keys, values] = await Promise.all([
    within(table, "readonly", (store) => store.getAllKeys()),
    within(table, "readonly", (store) => store.getAll()),
  ]);
  return Object.fromEntries(keys.map((key, i) => [key, values[i]]));
}

// The text of a file with all that is kept.
export async function saved() {
  return JSON.stringify({ numpygpt: 1, cells: await all("cells"), files: await all("files") }, null, 1);
}

// Take over what `saved` gave; the rest stays. Throws an Error with one line for the reader.
export async function read(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("this is no file that this page saved: it is not JSON");
  }
  if (found?.numpygpt !== 1) throw new Error("this is no file that this page saved");
  const good = { cells: isTexts, files: (value) => typeof value === "string" };
  for (const table of TABLES) {
    const entries = Object.entries(found[table] ?? {});
    const bad = entries.find(([key, value]) => !isPath(key) || !good[table](value));
    if (bad) throw new Error(`this file is damaged: its entry ${bad[0]} is not a text of ours`);
  }
  for (const table of TABLES) {
    for (const [key, value] of Object.entries(found[table] ?? {})) await set(table, key, value);
  }
}

// Below the book's folder, and nowhere else.
const isPath = (key) => /^(\.progress|\w+)(\/[\w-]+)*(\.\w+)?$/.test(key);

const isTexts = (value) =>
  value !== null && typeof value === "object" && Object.values(value).every((text) => typeof text === "string");

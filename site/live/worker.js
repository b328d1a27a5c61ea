// Pyodide, in a worker: the page stays alive whatever a cell does, and Stop ends the worker.
// In come messages {type: "start" | "run" | "move"}, one at a time; out go {type: "step" | "ready" |
// "loaded" | "out" | "files" | "done" | "failed"}.
import { loadPyodide } from "./pyodide/pyodide.mjs";
import program from "./run.py";

const BASE = new URL(".", self.location).href;
const MOST = 200_000; // characters that one cell may print: a page with more of them stands still
const PAUSE = 40; // milliseconds between two messages with what a cell prints

let python, live, page;
let queue = Promise.resolve();
let waiting = null, since = 0, printed = 0;
const have = new Set(); // files of data/ that are here

self.onmessage = ({ data }) => {
  queue = queue.then(() => ({ start, run, move })[data.type](data)).catch((error) => {
    flush();
    self.postMessage({ type: "failed", message: String(error?.message ?? error) });
  });
};

async function start(message) {
  if (message.edition !== EDITION) {
    throw new Error("the book was renewed while this page was open; reload the page, and your text is still here");
  }
  page = message.page;
  const began = performance.now();
  const archives = ["book", ...(page.tasks ? ["tasks"] : [])].map((name) => get(`${name}.zip`));
  python = await loadPyodide({ indexURL: `${BASE}pyodide/`, packages: ["numpy"], env: { HOME: "/home/pyodide" } });
  self.postMessage({ type: "step", text: "NumPy is there, now the book …" });
  for (const archive of archives) python.unpackArchive(await archive, "zip", { extractDir: "/book" });
  python.setStdout({ write: (bytes) => print("stdout", bytes) });
  python.setStderr({ write: (bytes) => print("stderr", bytes) });
  live = python.toPy({});
  live.set("__name__", "live");
  python.runPython(program, { globals: live });
  live.get("begin")(JSON.stringify({ ...page, files: message.files }), say);
  self.postMessage({ type: "ready", ms: performance.now() - began });
  const urls = performance.getEntriesByType("resource").map(({ name }) => name);
  self.postMessage({ type: "loaded", urls: [self.location.href, ...urls] });
}

async function get(path) {
  const answer = await fetch(BASE + path);
  if (!answer.ok) throw new Error(`${path} could not be loaded: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

async function run({ source, cells }) {
  printed = 0;
  for (const path of page.data) {
    if (source.includes(`data/${path}`)) await load(path);
  }
  if (JSON.parse(live.get("needs")(source)).matplotlib && !python.loadedPackages.matplotlib) {
    self.postMessage({ type: "step", text: "Matplotlib is being loaded, once …" });
    await python.loadPackage("matplotlib", { messageCallback() {} });
  }
  const began = performance.now();
  const ok = live.get("run")(source, JSON.stringify(cells));
  finish(ok, began);
}

function move({ panel, key, value }) {
  printed = 0;
  const began = performance.now();
  self.postMessage({ type: "clear" });
  finish(live.get("move")(panel, key, value), began);
}

function finish(ok, began) {
  flush();
  const ms = performance.now() - began;
  const files = JSON.parse(live.get("changed")());
  if (Object.keys(files).length) self.postMessage({ type: "files", files });
  self.postMessage({ type: "done", ok, ms });
}

async function load(path) {
  if (have.has(path)) return;
  self.postMessage({ type: "step", text: `data/${path} is being loaded, once …` });
  const bytes = new Uint8Array(await get(`data/${path}`));
  python.FS.mkdirTree(`/book/data/${path}`.replace(/\/[^/]*$/, ""));
  python.FS.writeFile(`/book/data/${path}`, bytes);
  have.add(path);
}

// What is printed is gathered: a message for each line would drown the page.
const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
function print(kind, bytes) {
  const text = decoders[kind].decode(bytes, { stream: true });
  if (waiting && waiting.kind !== kind) flush();
  waiting ??= { kind, data: "" };
  waiting.data += text;
  if (performance.now() - since > PAUSE) flush();
  return bytes.length;
}

function flush() {
  if (waiting) send(waiting.kind, waiting.data);
  waiting = null;
  since = performance.now();
}

function say(kind, data) {
  flush();
  send(kind, data);
}

function send(kind, data) {
  if (kind === "stdout" || kind === "stderr") {
    const room = MOST - printed;
    printed += data.length;
    if (room <= 0) return;
    if (data.length > room) data = `${data.slice(0, room)}\n… what is printed from here on is not shown\n`;
  }
  self.postMessage({ type: "out", kind, data });
}

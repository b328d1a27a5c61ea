// Keeps what a reader has opened, so that it opens again without a network. The network's answer
// comes first always, and the kept copy where there is none: an old copy never hides a new page.
// Each edition of the site has a cache of its own. files.json holds the SHA-256 of every file, and
// EDITION, which the build puts in here, is its own.
const EDITION = "<!-- edition -->";
const BASE = new URL(".", self.location).href;
const OURS = `numpygpt ${BASE} `; // a host may hold other sites
const CACHE = OURS + EDITION;
const PATIENCE = 4000; // milliseconds for the network to begin, where there is a copy
const DOWNLOAD = /\/numpygpt\.zip$/;

self.addEventListener("install", (event) => event.waitUntil(renew().then(() => self.skipWaiting())));

self.addEventListener("activate", (event) => event.waitUntil(forgetOlder().then(() => self.clients.claim())));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(BASE) && !request.headers.has("range")) {
    event.respondWith(answer(event));
  }
});

// A page says what it has loaded, or wants; if it asks for that, it is told how many of these are here.
self.addEventListener("message", (event) => {
  const { data: { keep: urls, tell }, source } = event;
  event.waitUntil(keepAll(urls, tell ? (kept) => source.postMessage({ kept, of: urls.length }) : () => {}));
});

// All that an older edition has kept, in this one's form: copied where it is the same, else fetched.
// If that fails, the older edition stays.
async function renew() {
  const list = await fetch(`${BASE}files.json`, { cache: "no-cache" });
  const bytes = await list.arrayBuffer();
  if ((await sha256(bytes)) !== EDITION) throw new Error("the site is being renewed at this moment");
  const files = JSON.parse(new TextDecoder().decode(bytes));
  const cache = await caches.open(CACHE);
  for (const name of await older()) {
    const old = await caches.open(name);
    for (const { url } of await old.keys()) {
      const wanted = files[url.slice(BASE.length)];
      if (!wanted) continue;
      let copy = await old.match(url);
      if ((await sha256(await copy.clone().arrayBuffer())) !== wanted) copy = await fetch(url, { cache: "no-cache" });
      if (!copy.ok) throw new Error(`${url}: ${copy.status}`);
      await cache.put(url, copy);
    }
  }
}

const older = async () => (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== CACHE);

const forgetOlder = async () => Promise.all((await older()).map((name) => caches.delete(name)));

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function answer(event) {
  const { request } = event;
  // A page is asked for anew each time: a browser takes its own copy of an old file for fresh.
  const how = request.mode === "navigate" ? { cache: "no-cache" } : {};
  const asked = fetch(request, how).catch(() => undefined); // undefined: no network
  event.waitUntil(asked.then((found) => found?.ok && keep(request.url, found.clone())));
  const soon = await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
  if (soon?.ok) return soon;
  const copy = await (await caches.open(CACHE)).match(keyOf(request.url));
  return copy ?? (await asked) ?? (request.mode === "navigate" ? nothing() : Response.error());
}

// Without what follows "?", and with the name of the file that a folder stands for.
function keyOf(url) {
  const { origin, pathname } = new URL(url);
  return origin + pathname.replace(/\/$/, "/index.html");
}

async function keep(url, found) {
  const key = keyOf(url);
  if (DOWNLOAD.test(key)) return;
  try {
    await (await caches.open(CACHE)).put(key, found);
  } catch {
    // no room: the page works as without us
  }
}

async function keepAll(urls, tell) {
  const cache = await caches.open(CACHE);
  let kept = 0;
  for (const url of urls.filter((one) => one.startsWith(BASE))) {
    if (!(await cache.match(keyOf(url)))) {
      const found = await fetch(url).catch(() => undefined);
      if (!found?.ok) continue;
      await keep(url, found);
    }
    kept += 1;
    if (kept % 10 === 0) tell(kept);
  }
  tell(kept);
}

// In place of a page that is not here.
async function nothing() {
  const keys = await (await caches.open(CACHE)).keys();
  const pages = keys.map(({ url }) => url).filter((url) => url.endsWith(".html"));
  const links = pages.map((url) => `<li><a href="${url}">${url.slice(BASE.length, -".html".length)}</a></li>`);
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>No network</title>
    <meta name="viewport" content="width=device-width, initial-scale=1"></head>
    <body style="font: 1rem/1.5 sans-serif; margin: 2rem"><main><h1>No network</h1>
    <p>This page was not opened in this browser before. These were, and open:</p>
    <ul>${links.join("")}</ul></main></body></html>`;
  return new Response(html, { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } });
}

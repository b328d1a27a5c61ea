"""What the tests in a real browser share: a Chromium, and a server for the pages of a folder."""

import functools
import http.server
import shutil
import threading
from contextlib import contextmanager


@contextmanager
def launched(sync_playwright, missing):
    """A Chromium of the system; `missing` is called with what to do where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        missing("there is no Chromium here; on Debian and Ubuntu: sudo apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_):
        pass


@contextmanager
def served(folder, port=0, handler=Quiet):
    """The address at which a folder is served, without a slash at the end; a port of 0 is any."""
    handler = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()

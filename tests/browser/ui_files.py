"""The released UI's built files over loopback. They are served, never read: the UI is a black box."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.net import LOOPBACK

PLACEHOLDER = b"/PREFECT_UI_SERVE_BASE_REPLACE_PLACEHOLDER"
"""Stands in the built files wherever the path belongs below which they are served (watched at the stock server)."""

BASES = {"v1": "", "v2": "/v2"}
"""Where the stock server serves each of the two UIs."""

_FOLDERS = {"v1": "ui", "v2": "ui-v2"}
_TEXTS = {".html", ".js", ".css", ".json", ".webmanifest", ".svg"}


def find_files(python: Path) -> dict[str, Path]:
    """The folders of both UIs in the environment of the stock client."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    package = Path(done.stdout.strip()) / "prefect"
    found = {path.parent.name: path.parent for path in package.glob("*/*/index.html")}
    missing = set(_FOLDERS.values()) - set(found)
    assert not missing, f"no {' and '.join(sorted(missing))} with an index.html below {package}"
    return {name: found[folder] for name, folder in _FOLDERS.items()}


class UIServer:
    """Serves both UIs and the `/ui-settings` that point them at an API of another origin."""

    def __init__(self, folders: dict[str, Path], api_url: str) -> None:
        self._folders = folders
        self._settings = {
            "api_url": api_url,
            "csrf_enabled": False,
            "auth": None,
            "flags": [],
            "default_ui": "v2",
            "available_uis": ["v1", "v2"],
            "v1_base_url": "/",
            "v2_base_url": "/v2",
        }
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                kind, body = outer.answer(urlsplit(self.path).path)
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                if "/assets/" in self.path:
                    self.send_header("Cache-Control", "max-age=3600, immutable")
                self.end_headers()
                # A tab that is closed in the middle of a file is no fault.
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Silent: the browser reports what failed."""

        self._http = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, name="ui-files", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._http.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def answer(self, path: str) -> tuple[str | None, bytes]:
        """Content type and body; no type for an unknown asset. Every other path is a page of the UI."""
        if path == "/ui-settings":
            return "application/json", json.dumps(self._settings).encode()
        version = "v2" if path == "/v2" or path.startswith("/v2/") else "v1"
        root, base = self._folders[version], BASES[version]
        file = (root / path.removeprefix(base).lstrip("/")).resolve()
        if not (file.is_relative_to(root.resolve()) and file.is_file()):
            if file.suffix in _TEXTS:
                return None, b""
            file = root / "index.html"
        body = file.read_bytes()
        if file.suffix in _TEXTS:
            body = body.replace(PLACEHOLDER, base.encode())
        return mimetypes.guess_type(file.name)[0] or "application/octet-stream", body

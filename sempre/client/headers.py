"""Headers that every call carries, over HTTP and on websockets, and CSRF tokens: for the client and the command line.

Light to import, because every command does.
"""

from __future__ import annotations

import base64
import os
import ssl
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sempre import __version__

if TYPE_CHECKING:
    from sempre.settings import ClientSettings

__all__ = [
    "API_VERSION",
    "USER_AGENT",
    "Csrf",
    "attribution",
    "basic",
    "common_headers",
    "protocol_headers",
    "tls_context",
    "websocket_token",
]

API_VERSION = "0.8.4"
USER_AGENT = f"sempre/{__version__} (API {API_VERSION})"

# A setting must not break the protocol.
_OURS = frozenset({"user-agent", "prefect-csrf-token", "prefect-csrf-client"})
_SUBJECTS = ("Flow-Id", "Flow-Name", "Deployment-Id", "Deployment-Name", "Worker-Id", "Worker-Name")


def common_headers(settings: ClientSettings) -> dict[str, str]:
    """What every request carries. The auth string wins over the key."""
    headers = {name: value for name, value in settings.client.custom_headers.items() if name.lower() not in _OURS}
    headers |= protocol_headers()
    if settings.api.auth_string:
        headers["Authorization"] = basic(settings.api.auth_string)
    elif settings.api.key:
        headers["Authorization"] = f"Bearer {settings.api.key}"
    return headers | attribution()


def protocol_headers() -> dict[str, str]:
    """Who calls, by which version of the protocol, and what kind of answer is understood."""
    return {"User-Agent": USER_AGENT, "X-PREFECT-API-VERSION": API_VERSION, "Accept": "application/json"}


def basic(auth_string: str) -> str:
    """The Authorization header of `user:password`."""
    return "Basic " + base64.b64encode(auth_string.encode()).decode()


class Csrf:
    """The token of one caller. It is asked for only when an API misses it: most check none, and asking first costs a
    round trip."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._client = str(uuid4())
        self.headers: dict[str, str] = {}
        """What calls that change something carry."""

    @property
    def path(self) -> str:
        """Where a token is to be had, by GET."""
        return f"/csrf-token?client={self._client}"

    def misses(self, method: str, status: int, content: bytes) -> bool:
        """Whether a call was refused for want of a token."""
        return self._enabled and method != "GET" and status == 403 and b"CSRF token" in content

    def take(self, answer: Any) -> None:
        """Use the token of an answer, the JSON of `path`."""
        self.headers = {"Prefect-Csrf-Token": answer["token"], "Prefect-Csrf-Client": self._client}


def attribution() -> dict[str, str]:
    """On whose behalf this process calls, as whoever started it said in the environment."""
    found = {}
    for subject in _SUBJECTS:
        variable = "__" + subject.upper().replace("-", "_")
        value = os.environ.get(f"SEMPRE{variable}") or os.environ.get(f"PREFECT{variable}")
        if value and (clean := value.strip()):
            found[f"X-Prefect-{subject}"] = clean.encode("ascii", "ignore").decode()
    return found


def websocket_token(settings: ClientSettings) -> str | None:
    """What the first message of a websocket says."""
    return settings.api.auth_string or settings.api.key


def tls_context(settings: ClientSettings) -> ssl.SSLContext:
    """How the API's certificate is checked. OSError when the named file cannot be read."""
    if settings.api.tls_insecure_skip_verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if settings.api.ssl_cert_file:
        return ssl.create_default_context(cafile=str(settings.api.ssl_cert_file))
    import certifi

    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())

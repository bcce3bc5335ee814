"""Headers that every call carries, over HTTP and on websockets."""

from __future__ import annotations

import base64
import os
import ssl

from sempre import __version__
from sempre.settings import ClientSettings

__all__ = ["API_VERSION", "USER_AGENT", "attribution", "common_headers", "tls_context", "websocket_token"]

API_VERSION = "0.8.4"
USER_AGENT = f"sempre/{__version__} (API {API_VERSION})"

# A setting must not break the protocol.
_OURS = frozenset({"user-agent", "prefect-csrf-token", "prefect-csrf-client"})
_SUBJECTS = ("Flow-Id", "Flow-Name", "Deployment-Id", "Deployment-Name", "Worker-Id", "Worker-Name")


def common_headers(settings: ClientSettings) -> dict[str, str]:
    """What every request carries. The auth string wins over the key."""
    headers = {name: value for name, value in settings.client.custom_headers.items() if name.lower() not in _OURS}
    headers |= {"User-Agent": USER_AGENT, "X-PREFECT-API-VERSION": API_VERSION, "Accept": "application/json"}
    if settings.api.auth_string:
        credentials = base64.b64encode(settings.api.auth_string.encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    elif settings.api.key:
        headers["Authorization"] = f"Bearer {settings.api.key}"
    return headers | attribution()


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

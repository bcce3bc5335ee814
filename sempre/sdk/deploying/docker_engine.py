"""The Docker engine that images are built by and pushed from, through docker's own library."""

from __future__ import annotations

import inspect
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TextIO

from sempre.sdk.deploying.docker_progress import EngineLines, shown
from sempre.sdk.errors import ConfigurationError, SempreException

__all__ = ["DockerEngine", "ImageError"]

SILENCE_SECONDS = 600  # a registry may take a while to take a layer in; the library gives up after one minute
LAST_LINES = 12
Advice = Callable[[str], str]
"""What to do about what the engine said."""
_REFUSED = ("denied", "unauthorized", "authentication", "no basic auth", "forbidden")


class ImageError(SempreException):
    """An image could not be built or pushed; the text has what the engine said last, and what to do."""


class DockerEngine:
    """The engine of `DOCKER_HOST`, of docker's context, or of this machine; what it does is shown on ``progress_to``.

    Raises ConfigurationError without the library, or without an engine that answers.
    """

    def __init__(self, progress_to: TextIO | None = None) -> None:
        self._api = _connected()
        self._progress_to = progress_to

    def build(self, reference: str, options: Mapping[str, Any]) -> str:
        """Build an image by the options of the library's `build`; returns its id. Raises ImageError, and
        ConfigurationError for options that there are not."""
        known = inspect.signature(self._api.build).parameters
        if strange := [name for name in options if name not in known]:
            raise ConfigurationError(
                f"Docker's build has no option {', '.join(strange)}; it has {', '.join(sorted(known))}."
            )
        what = f"The image {reference} was not built"
        with _in_words(what, _build_advice):
            self._follow(what, self._api.build(**{"rm": True, **options}, tag=reference, decode=True), _build_advice)
            return str(self._api.inspect_image(reference)["Id"])

    def tag(self, reference: str, name: str, tag: str) -> None:
        """Give an image one more name. Raises ImageError."""
        with _in_words(f"The image {reference} was not called {name}:{tag}", _build_advice):
            self._api.tag(reference, name, tag)

    def push(self, name: str, tag: str, credentials: Mapping[str, Any] | None = None) -> None:
        """Push an image to the registry that its name begins with, with the login of docker's configuration unless
        there are ``credentials`` (`username`, `password`, `registry_url`). Raises ImageError."""
        what = f"The image {name}:{tag} was not pushed"
        registry, login = _login(what, name, credentials)
        advice = partial(_push_advice, registry, login)
        with _in_words(what, advice):
            events = self._api.push(name, tag=tag, stream=True, decode=True, auth_config=login)
            self._follow(what, events, advice)

    def _follow(self, what: str, events: Iterable[Mapping[str, Any]], advice: Advice) -> None:
        """Show what the engine does. A failure is one more line of an answer that began well. Raises ImageError."""
        lines = EngineLines()
        last: deque[str] = deque(maxlen=LAST_LINES)
        with shown(self._progress_to) as progress:
            for event in events:
                for line in lines.of(event):
                    last.append(line)
                    progress.line(line)
                progress.layer(event)
                if message := _failure(event):
                    context = "".join(f"\n  {line}" for line in last)
                    told = f"\nBefore that the engine said:{context}" if context else ""
                    raise ImageError(f"{what}: {message}{told}\n{advice(message)}")


def _login(what: str, name: str, credentials: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Registry and login of an image. An engine wants to be given one also where there is none."""
    from docker import auth

    with _in_words(what, _build_advice):
        registry, _ = auth.resolve_repository_name(name)
        if not credentials:
            return registry, auth.load_config().resolve_authconfig(registry) or {}
    address = credentials.get("registry_url") or credentials.get("serveraddress") or registry
    given = {key: value for key, value in credentials.items() if key not in ("registry_url", "reauth")}
    return registry, {**given, "serveraddress": address}


def _failure(event: Mapping[str, Any]) -> str | None:
    """What went wrong; `error` is the older place for it."""
    detail = event.get("errorDetail") or {}
    message = detail.get("message") or event.get("error")
    return str(message).strip() if message else None


def _connected() -> Any:
    try:
        import docker
    except ImportError:
        raise ConfigurationError(
            "Images are built and pushed by the docker library, which is not installed: pip install 'sempre[docker]'. "
            "An image that is there already needs none: build=False."
        ) from None
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        where = os.environ.get("DOCKER_HOST") or "the address of docker's context, or /var/run/docker.sock"
        raise ConfigurationError(
            f"No Docker engine answers at {where}, to build and push images with: {_innermost(error)}. Start it, or "
            "set DOCKER_HOST to the address of one (`docker version` shows whether it answers). An image that is there "
            "already needs none: build=False."
        ) from None
    client.api.timeout = SILENCE_SECONDS
    return client.api


def _innermost(error: BaseException) -> str:
    """What the operating system said, below what the libraries made of it."""
    while True:
        below = next((each for each in error.args if isinstance(each, BaseException)), None) or error.__context__
        if below is None:
            return str(error)
        error = below


@contextmanager
def _in_words(what: str, advice: Advice) -> Iterator[None]:
    import docker.credentials.errors
    import docker.errors
    import requests
    import urllib3

    try:
        yield
    except docker.errors.APIError as error:
        message = str(error.explanation or error)
        raise ImageError(f"{what}: {message}\n{advice(message)}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ImageError(
            f"{what}: the connection to the Docker engine broke before it was done ({error}). See whether it runs "
            "(`docker version`), and try again."
        ) from None
    except (docker.credentials.errors.StoreError, docker.errors.DockerException) as error:
        raise ImageError(f"{what}: {error}{_store_advice(error)}") from None
    except OSError as error:
        raise ImageError(f"{what}: {error}. What the image does not need is left out by a .dockerignore.") from None


def _store_advice(error: BaseException) -> str:
    if "docker-credential-" not in str(error):
        return ""
    return (
        ". Logins are asked of this program because docker's configuration (~/.docker/config.json) names it as "
        "`credsStore` or in `credHelpers`: install it, or take it out there."
    )


def _build_advice(message: str) -> str:
    if "BuildKit" in message:
        return (
            "The engine's API builds without BuildKit. Build the image by `docker build`, for instance in a "
            "run_shell_script step, and deploy it with build=False."
        )
    return "Nothing was pushed or deployed. Correct it, and deploy again: steps that went well are not done again."


def _push_advice(registry: str, login: Mapping[str, Any], message: str) -> str:
    if "does not exist" in message:
        return "It has to be built here under this name and tag before it is pushed. Nothing was deployed."
    if not any(word in message.lower() for word in _REFUSED):
        return f"Nothing was deployed. See whether {registry} can be reached from the engine, and deploy again."
    user = next((value for key, value in login.items() if key.lower() == "username"), None)
    who = f"as {user!r}" if user else "with a token" if login else "without a login, of which docker knows none for it"
    return (
        f"{registry} was asked {who}. Log in by `docker login {registry}`, or give the step push_docker_image "
        "`credentials`; the repository may have to be made first. Nothing was deployed."
    )

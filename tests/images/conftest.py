"""The images, built once for all tests of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support import debian
from tests.support.real_docker import real_docker

if TYPE_CHECKING:
    from tests.support.real_image import Built


@pytest.fixture(scope="session")
def images() -> Iterator[Built]:
    pytest.importorskip("docker")
    from tests.support.real_image import built

    try:
        with real_docker(storage="overlay2") as engine, built(engine) as both:
            yield both
    except debian.Unavailable as reason:
        pytest.skip(str(reason))

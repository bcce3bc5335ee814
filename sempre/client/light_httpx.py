"""httpx without its command line, which it loads whenever what that is made of (rich, pygments, click) is installed."""

import sys

__all__ = ["httpx"]

_UNWANTED = "httpx._main"

if "httpx" in sys.modules:
    import httpx
else:
    sys.modules[_UNWANTED] = None  # type: ignore[assignment]  # how Python is told that there is no such module
    try:
        import httpx
    finally:
        del sys.modules[_UNWANTED]

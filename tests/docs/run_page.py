"""Runs the blocks of a page, `block-1.py` and so on in the working directory, in one namespace."""

import ast
import asyncio
import inspect
import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    namespace = sys.modules["__main__"].__dict__
    for path in sorted(Path.cwd().glob("block-*.py")):
        code = compile(path.read_text(), str(path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, namespace))
        else:
            exec(code, namespace)


if __name__ == "__main__":
    main()

"""Takes the Python examples out of a page.

The blocks of a page are run one after the other in one process, as if a reader had typed them. What is not that simple
is said in a comment before the block, which readers do not see:

- `<!-- file: NAME -->`: a file beside the others; `<!-- file: NAME serve -->`: and a process of it runs meanwhile,
  `<!-- file: NAME run -->`: and it is run to its end before the blocks that follow.
- `<!-- limits: NAME=SLOTS NAME=SLOTS/DECAY -->`: concurrency limits that the block needs.
- `<!-- setup` ... `-->`: code that goes before the block.

A block with the info string `python no-run` is compiled only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:<!--(?P<note>[^>]*?)-->\n)?```python(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass
class Page:
    """What a page has: ``files`` by name; ``blocks`` in their order, a file's name in place of one to be run."""

    path: Path
    files: dict[str, str] = field(default_factory=dict)
    serves: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    compiled: list[str] = field(default_factory=list)
    limits: list[tuple[str, int, float]] = field(default_factory=list)


def read(path: Path) -> Page:
    page = Page(path)
    for block in _BLOCK.finditer(path.read_text()):
        kind, _, rest = (
            (block["note"] or "").strip().partition(":" if ":" in (block["note"] or "").split("\n")[0] else "\n")
        )
        code = block["code"]
        if "no-run" in block["info"]:
            page.compiled.append(code)
            continue
        if kind == "limits":
            for limit in rest.split():
                name, _, slots = limit.partition("=")
                number, _, decay = slots.partition("/")
                page.limits.append((name, int(number), float(decay or 0)))
        if kind != "file":
            page.blocks.append(f"{rest}\n{code}" if kind == "setup" else code)
            continue
        name, *how = rest.split()
        page.files[name] = code
        page.serves += [name] * ("serve" in how)
        if "run" in how:
            page.blocks.append(f"import runpy\nrunpy.run_path({name!r}, run_name='__main__')\n")
    return page


def pages() -> list[Page]:
    """All pages with examples, but for the generated reference, which has signatures only."""
    paths = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    ]
    return [page for path in paths if "```python" in path.read_text() and (page := read(path))]

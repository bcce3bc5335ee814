"""What became of canaries, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from sempre.canary.canary import Outcome

__all__ = ["as_document", "as_junit"]


def as_document(api: str, outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """The report as JSON has it; `seconds` is how long all of it took."""
    return {
        "api": api,
        "passed": not any(outcome.failed for outcome in outcomes),
        "seconds": round(seconds, 2),
        "canaries": [asdict(outcome) for outcome in outcomes],
    }


def as_junit(outcomes: Sequence[Outcome], seconds: float) -> bytes:
    """The report in the XML that continuous integration reads."""
    suite = Element(
        "testsuite",
        name="sempre canary",
        tests=str(len(outcomes)),
        failures=str(sum(outcome.failed for outcome in outcomes)),
        skipped=str(sum(outcome.skipped for outcome in outcomes)),
        errors="0",
        time=f"{seconds:.2f}",
    )
    for outcome in outcomes:
        case = SubElement(suite, "testcase", classname="canary", name=outcome.name, time=f"{outcome.seconds:.2f}")
        if outcome.skipped:
            SubElement(case, "skipped", message=_printable(outcome.message))
        elif outcome.failed:
            SubElement(case, "failure", message=_printable(outcome.message), type=outcome.result)
    report: bytes = tostring(suite, encoding="utf-8", xml_declaration=True)
    return report


def _printable(text: str) -> str:
    """Without the characters that XML has no way to write."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")

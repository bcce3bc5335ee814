"""The rules of the example pipeline, and the two independent counts of its data file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from examples.demo.expected import StationTotals, differences, expected
from examples.readings import (
    COLUMNS,
    Period,
    Reading,
    daily,
    monthly,
    partition,
    reasons,
    summary,
    validate,
    weeks,
)

DATA = Path(__file__).parents[3] / "examples" / "data"
OCTOBER = Period.month("2025-10")
HEADING = ",".join(COLUMNS)
GOOD = "gale,2025-10-05T13:00Z,11.4,83,6.2,0.4"


def reading(
    hour: int, temperature: str, rain: str | None = "0.0", *, day: int = 1, wind: str | None = "3.0"
) -> Reading:
    at = datetime(2025, 10, day, hour, tzinfo=UTC)
    return Reading(
        "gale", at, Decimal(temperature), Decimal(80), Decimal(wind) if wind else None, Decimal(rain) if rain else None
    )


def test_a_good_row_is_a_reading() -> None:
    readings, rejected = validate([HEADING, GOOD], ["gale"], OCTOBER)
    assert rejected == []
    at = datetime(2025, 10, 5, 13, tzinfo=UTC)
    assert readings == [Reading("gale", at, Decimal("11.4"), Decimal(83), Decimal("6.2"), Decimal("0.4"))]


def test_humidity_wind_and_rain_may_be_missing() -> None:
    readings, rejected = validate([HEADING, "gale,2025-10-05T13:00Z,11.4,,,"], ["gale"], OCTOBER)
    assert rejected == []
    assert (readings[0].humidity, readings[0].wind, readings[0].rain) == (None, None, None)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("gale,2025-10-05T13:00Z,11.4", "wrong number of fields"),
        (f"{GOOD},", "wrong number of fields"),
        ("", "wrong number of fields"),
        (GOOD.replace("gale", "GALE"), "unknown station"),
        (GOOD.replace("T13", "T25"), "unreadable time"),
        (GOOD.replace("Z", "+02:00"), "unreadable time"),
        (GOOD.replace("2025-10-05", "2025-11-01"), "time outside the period"),
        (GOOD.replace("2025-10-05", "2000-01-01"), "time outside the period"),
        (GOOD.replace("11.4", ""), "temperature missing"),
        (GOOD.replace("11.4", "ERR"), "temperature is not a number"),
        (GOOD.replace("11.4", "nan"), "temperature is not a number"),
        (GOOD.replace("11.4", "85.0"), "temperature out of range"),
        (GOOD.replace("83", "101"), "humidity out of range"),
        (GOOD.replace("6.2", "-0.1"), "wind out of range"),
        (GOOD.replace("0.4", "250.2"), "rain out of range"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(row: str, reason: str) -> None:
    readings, rejected = validate([HEADING, row, GOOD], ["gale"], OCTOBER)
    assert len(readings) == 1
    assert [(found.line, found.reason, found.text) for found in rejected] == [(2, reason, row)]


def test_the_first_of_two_equal_readings_counts() -> None:
    other = GOOD.replace("11.4", "12.0")
    readings, rejected = validate([HEADING, GOOD, other], ["gale"], OCTOBER)
    assert [found.temperature for found in readings] == [Decimal("11.4")]
    assert [(found.line, found.reason) for found in rejected] == [(3, "duplicate reading")]


def test_a_rejected_row_does_not_make_a_later_one_a_duplicate() -> None:
    readings, rejected = validate([HEADING, GOOD.replace("11.4", "85.0"), GOOD], ["gale"], OCTOBER)
    assert (len(readings), len(rejected)) == (1, 1)


@pytest.mark.parametrize("lines", [[], ["date,value"], [GOOD]])
def test_another_file_is_an_error_and_no_bad_row(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="the first line is not station"):
        validate(lines, ["gale"], OCTOBER)


def test_a_period_ends_before_the_next_begins() -> None:
    december = Period.month("2025-12")
    assert december.end == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="does not match"):
        Period.month("October")


def test_partition_orders_stations_and_hours() -> None:
    late, early = reading(2, "1.0"), reading(1, "2.0")
    other = Reading("brack", late.at, Decimal(1), None, None, None)
    assert list(partition([late, other, early]).items()) == [("brack", [other]), ("gale", [early, late])]


def test_weeks_are_calendar_weeks() -> None:
    # 6 October 2025 is a Monday.
    assert [len(week) for week in weeks(reading(1, "1.0", day=day) for day in range(1, 14))] == [5, 7, 1]


def test_a_day_says_what_its_hours_say() -> None:
    hours = [reading(0, "-1.0", "0.4", wind=None), reading(1, "0.0", None), reading(2, "2.5", "1.2", wind="7.5")]
    (day,) = daily(hours)
    assert (day.day, day.hours, day.frost_hours) == (date(2025, 10, 1), 3, 1)
    assert (day.coldest, day.mean, day.warmest) == (Decimal("-1.0"), Decimal("0.5"), Decimal("2.5"))
    assert (day.rain, day.wind) == (Decimal("1.6"), Decimal("7.5"))


def test_a_month_weighs_days_by_their_hours() -> None:
    days = daily([reading(0, "10.0", "0.2"), reading(1, "10.0", "0.2"), reading(0, "17.5", "9.0", day=2)])
    month = monthly(days)
    assert (month.days, month.readings) == (2, 3)
    assert (month.mean, month.rain, month.wettest) == (Decimal("12.5"), Decimal("9.4"), date(2025, 10, 2))
    assert month.degree_days == Decimal("5.5"), "a warm day does not take degree days back"
    with pytest.raises(ValueError, match="at least one day"):
        monthly([])


def test_summary_names_stations_and_reasons() -> None:
    text = summary([monthly(daily([reading(0, "10.0")]))], {"gale": "Gale Head"}, {"unknown station": 2})
    assert "| Gale Head | 1 | 10.0 | 10.0 | 10.0 | 0.0 | 01 Oct | 0 | 5.5 |" in text
    assert text.endswith("1 of 3 rows were used. The others: unknown station (2).")


def shipped() -> tuple[list[str], dict[str, str]]:
    with (DATA / "stations.csv").open(newline="", encoding="utf-8") as file:
        names = {row["station"]: row["name"] for row in csv.DictReader(file)}
    return (DATA / "weather.csv").read_text(encoding="utf-8").splitlines(), names


def test_in_the_shipped_file_exactly_the_planted_rows_are_rejected() -> None:
    lines, names = shipped()
    planted = json.loads((DATA / "planted.json").read_text())
    readings, rejected = validate(lines, names, OCTOBER)
    assert dict(sorted(reasons(rejected).items())) == planted["rejected"]
    assert len(readings) + len(rejected) == planted["rows"] == len(lines) - 1


def test_both_ways_of_counting_the_shipped_file_agree() -> None:
    lines, names = shipped()
    readings, rejected = validate(lines, names, OCTOBER)
    months = [monthly(daily(hours)) for hours in partition(readings).values()]
    totals = expected(DATA / "weather.csv")
    assert (totals.used, totals.rejected) == (len(readings), len(rejected))
    assert totals.stations == {
        month.station: StationTotals(
            readings=month.readings,
            days=month.days,
            coldest=int(month.coldest * 10),
            warmest=int(month.warmest * 10),
            rain=int(month.rain * 10),
        )
        for month in months
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Files as the pipeline writes them, of one station's hour and a rejected row."""
    (tmp_path / "daily.csv").write_text("station,day,hours,coldest,warmest,rain\ngale,2025-10-05,1,11.4,11.4,0.4\n")
    (tmp_path / "rejected.csv").write_text("line,reason,text\n3,unknown station,x\n")
    summary = {
        "rows": {"used": 1, "rejected": {"unknown station": 1}},
        "stations": [{"station": "gale", "rain": "0.4"}],
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "raw.csv").write_text(f"{HEADING}\n{GOOD}\n{GOOD.replace('gale', 'x')}\n")
    return tmp_path


def test_right_results_have_no_differences(results: Path) -> None:
    assert differences(results, expected(results / "raw.csv")) == []


@pytest.mark.parametrize(
    ("file", "change", "difference"),
    [
        ("daily.csv", lambda text: text.replace(",1,", ",2,"), "rows used: 2, expected 1"),
        ("daily.csv", lambda text: text.replace(",0.4", ",0.5"), "rain=5"),
        ("daily.csv", lambda text: text.replace("-05,", "-05x,").replace(",11.4,", ",11.45,"), "cannot be read"),
        ("rejected.csv", lambda text: text + "4,again,x\n", "rows rejected: 2, expected 1"),
        ("summary.json", lambda text: text.replace("0.4", "0.2"), "rain in the summary"),
        ("summary.json", lambda text: text[:20], "cannot be read"),
    ],
)
def test_a_wrong_result_is_told(results: Path, file: str, change: Callable[[str], str], difference: str) -> None:
    path = results / file
    path.write_text(change(path.read_text()))
    found = differences(results, expected(results / "raw.csv"))
    assert found
    assert difference in "\n".join(found)

"""Text queries, label patterns, names."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.core.event_patterns import (
    label_value,
    matches_any_event,
    matches_event,
    matches_label,
    matches_labels,
    matches_related,
    to_like,
    to_like_prefix,
)
from sempre.core.names import ADJECTIVES, ANIMALS, random_name
from sempre.core.text_search import TextQuery, matches, parse


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('err "time out" -debug +api', TextQuery(("err", "time out"), ("debug",), ("api",))),
        ("", TextQuery()),
        ("  \t ", TextQuery()),
        ("- ! + a", TextQuery(("a",))),
        ("!x --y +-z", TextQuery((), ("x", "-y"), ("-z",))),
        (r'"a \"b\" \\ \n" c', TextQuery(('a "b" \\ \\n', "c"))),
        ('-"no end', TextQuery((), ("no end",))),
        ('ab"c d"e', TextQuery(("ab", "c d", "e"))),
        ('"" +"" a-b', TextQuery(("a-b",))),
        ("A a", TextQuery(("a",))),
    ],
)
def test_parse(query: str, expected: TextQuery) -> None:
    assert parse(query) == expected


def test_matches() -> None:
    query = parse('err "time out" -debug +api')
    assert matches(query, "API: Time Out")
    assert matches(query, "api error")
    assert not matches(query, "an error")
    assert not matches(query, "api debug error")
    assert not matches(query, "api time  out")
    assert matches(parse("-x"), "anything")
    assert matches(parse("50%_"), "at 50%_")
    assert not matches(parse("50%_"), "at 500")
    assert parse(" ").is_blank
    assert matches(parse(" "), "")


@given(st.text())
def test_parse_never_fails(query: str) -> None:
    parsed = parse(query)
    assert all((*parsed.include, *parsed.exclude, *parsed.required)) or parsed.is_blank


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("a", "a", True), ("a", "A", False), ("a*", "a", True), ("a?", "a", False), ("[ab]*", "bcd", True),
        ("[!a]", "b", True), ("!a*", "abc", False), ("!a*", "b", True), ("a", "a\n", False), ("*", "x\ny", True),
        ("a.b", "axb", False), ("", "", True), ("!", "x", True), ("x", None, False), ("!x", None, False),
    ],
)  # fmt: skip
def test_label_patterns(pattern: str, value: str | None, expected: bool) -> None:
    assert matches_label(pattern, value) is expected


def test_label_specifications() -> None:
    labels = {"id": "flow-run.1", "role": "x"}
    assert matches_labels({}, {})
    assert matches_labels({"id": ["deployment.*", "flow-run.*"], "role": "x"}, labels)
    assert not matches_labels({"id": "flow-run.*", "role": "y"}, labels)
    assert not matches_labels({"id": []}, labels)
    assert matches_labels({"id": ["!flow-run.1", "!b"]}, labels)
    assert not matches_labels({"missing": "!b"}, labels)


def test_related() -> None:
    one, two = {"a": "1", "b": "1"}, {"a": "2", "b": "2"}
    assert matches_related({}, [])
    assert matches_related([], [])
    assert matches_related({"a": "1", "b": "1"}, [two, one])
    assert not matches_related({"a": "1", "b": "2"}, [one, two])
    assert matches_related([{"a": "1"}, {"b": "2"}], [one, two])
    assert not matches_related([{"a": "1"}, {"b": "3"}], [one, two])


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("foo.*", "foo.bar", True), ("foo.*", "foo.", False), ("foo.*", "foo", False), ("foo", "foo", True),
        ("foo", "foo.bar", False), ("*", "x", True), ("*", "", False), ("f?o", "foo", False), ("[f]oo", "foo", False),
        ("!foo", "bar", False), ("a*c", "abbc", True), ("a.c", "abc", False), ("foo.*", "foo.a\nb", True),
        ("a**", "abc", True), ("a**", "ab", False), ("*a*a*", "xaaax", True), ("a*a", "aa", False),
    ],
)  # fmt: skip
def test_event_names(pattern: str, name: str, expected: bool) -> None:
    assert matches_event(pattern, name) is expected
    assert matches_any_event([pattern], name) is expected


@given(st.text(st.sampled_from("ab*"), max_size=8), st.text(st.sampled_from("ab"), max_size=8))
def test_event_names_as_regular_expressions(pattern: str, name: str) -> None:
    assert matches_event(pattern, name) is bool(re.fullmatch(pattern.replace("*", ".+"), name))


def test_label_references() -> None:
    resource = {"prefect.resource.id": "r"}
    related = [
        {"prefect.resource.role": "flow", "prefect.resource.id": "f1"},
        {"prefect.resource.role": "flow", "prefect.resource.id": "f2", "x:y": "z"},
    ]
    assert label_value("prefect.resource.id", resource, related) == "r"
    assert label_value("related:flow:prefect.resource.id", resource, related) == "f1"
    assert label_value("related:flow:x:y", resource, related) == ""
    assert label_value("related:tag:prefect.resource.id", resource, related) == ""
    assert label_value("missing", resource, related) == ""


def like(pattern: str, value: str) -> bool:
    """LIKE with a backslash as escape, as Postgres reads it."""
    tokens = re.findall(r"\\.|[^\\]", pattern, re.DOTALL)
    regex = "".join({"%": ".*", "_": "."}.get(token, re.escape(token[-1])) for token in tokens)
    return re.fullmatch(regex, value, re.DOTALL) is not None


ALPHABET = st.text(st.sampled_from("a.*?%_\\"), max_size=8)


@given(ALPHABET, ALPHABET)
def test_like_agrees_with_the_glob(pattern: str, value: str) -> None:
    assert like(to_like(pattern), value) is matches_label(pattern, value)
    assert like(to_like_prefix(pattern), value) is value.startswith(pattern)


def test_like_text() -> None:
    assert to_like(r"!50%_\x*?") == r"50\%\_\\x%_"
    assert to_like("[ab]") == "[ab]"


def test_names() -> None:
    for words in (ADJECTIVES, ANIMALS):
        assert len(words) >= 100
        assert len(set(words)) == len(words)
        assert all(re.fullmatch(r"[a-z]+", word) for word in words)
    names = {random_name(Random(seed)) for seed in range(200)}
    assert len(names) > 190
    assert random_name(Random(7)) == random_name(Random(7))

"""User templates: what they may do, and what they must not cost."""

from typing import Any

import pytest

from sempre.core.placeholders import names
from sempre.core.templates import (
    MAX_OUTPUT,
    RenderError,
    TemplateProblem,
    check_base_job_template,
    render,
    render_value,
    validate_template,
)


class Thing:
    _hidden = "secret"
    seen = "yes"


LOOP, END = "{% for i in [1, 2] %}", "{% endfor %}"


def test_validation() -> None:
    assert validate_template("") is None
    assert validate_template("{{ x|nofilter }}{% include 'a' %}{% for i in range(200) %}{% endfor %}") is None
    assert validate_template(LOOP * 2 + END * 2) is None
    assert validate_template((LOOP + END) * 10) is None
    for source, line, message in [
        ("{{ x", 1, "unexpected end of template, expected 'end of print statement'."),
        ("\n\n{% if %}", 3, "Expected an expression, got 'end of statement block'"),
        ("{% unknown %}", 1, "Encountered unknown tag 'unknown'."),
        ((LOOP + END) * 11, 0, "Contains 11 for loops. Templates can contain no more than 10 for loops."),
        (
            LOOP * 3 + END * 3,
            0,
            "Contains nested for loops at a depth of 3. Templates can nest for loops no more than 2 loops deep.",
        ),
    ]:
        assert validate_template(source) == TemplateProblem(line, message, source)
    assert validate_template("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}") is not None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain { text }", "plain { text }"),
        ("{{ nothing.at.all }}", ""),
        ("{{ a.b }}-{{ a['b'] | upper }}", "x-X"),
        ("{% for i in range(3) %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "0,1,2"),
        ("{% for i in [1, 2, 3] if i > 1 %}{{ i ~ '!' ~ n }}{% else %}none{% endfor %}", "2!73!7"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(2) }}", "<1><2>"),
        ("{% for x in tree recursive %}({{ x.n }}{{ loop(x.c) if x.c }}){% endfor %}", "(1(2))"),
        ("{{ ''.__class__ }}{{ thing._hidden }}{{ thing.seen }}", "yes"),
        ("{{ '{:,}'.format(1234567) }} {{ nothing | default(1234567) }}", "1,234,567 1234567"),
        ("{{ [1, 2] | join('-') }} {{ 'a-b'.replace('-', '+') }} {{ '%05d' % 7 }} {{ n * 2 + 1 }}", "1-2 a+b 00007 15"),
        ("{{ a | tojson }}", '{"b": "x"}'),
        ("{{ '<' | tojson }}", '"\\u003c"'),
        ("{% set x %}{{ n }}{% endset %}{{ x }}", "7"),
    ],
)
def test_rendering(source: str, expected: str) -> None:
    context = {"a": {"b": "x"}, "n": 7, "tree": [{"n": 1, "c": [{"n": 2}]}], "thing": Thing()}
    assert render(source, context) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ x | nofilter }}",
        "{% include 'a' %}",
        "{% for i in range(101) %}{% endfor %}",
        LOOP * 3 + END * 3,
        "{{ ''.__class__.__mro__() }}",
        "{{ items.append(1) }}",
        "{{ 'x' * 10**9 }}",
        "{{ 10**9 * 'x' }}",
        "{{ [0] * 10**9 }}",
        "{{ 10 ** 100000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 1000000000) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ 'x'.center(10**9) }}",
        "{{ 'x' | center(10**9) }}",
        "{{ ('x' * 100000).replace('x', 'y' * 1000) }}",
        "{{ ('x' * 100000) | replace('x', 'y' * 1000) }}",
        "{{ ('\\n' * 100000) | indent(1000) }}",
        "{{ ('\\t' * 100000).expandtabs(9999) }}",
        "{{ ('x' * 1000).join(items * 100000) }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x }}",
        "{% set ns = namespace(x='aaaa') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in long %}{% for b in long %}{% endfor %}{% endfor %}",
        "{% for a in long %}{% for b in long if false %}{% endfor %}{% endfor %}",
        "{% for a in items recursive %}{{ loop(items) }}{{ loop(items) }}{% endfor %}",
        "{{ a }}" * 4,
    ],
)
def test_refused(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(source, {"items": [1, 2], "long": "x" * 100_000, "a": "x" * (MAX_OUTPUT // 3)})
    assert str(caught.value).startswith("Failed to render template due to the following error: ")
    assert caught.value.source == source


def test_error_text() -> None:
    with pytest.raises(RenderError) as caught:
        render("{{ 1/0 }}", {})
    expected = "Failed to render template due to the following error: ZeroDivisionError('division by zero')"
    assert str(caught.value) == expected


def test_own_filters() -> None:
    assert render("{{ x | shout }}", {"x": "a"}, {"shout": lambda value: f"{value}!"}) == "a!"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ n }}", 7),
        (" {{ d }} ", {"a": [1, None]}),
        ("{{ n }}{{ n }}", "77"),
        ("n={{ n }}", "n=7"),
        ("{{ missing }}", ""),
        ("{% if n %}{{ n }}{% endif %}", "7"),
        ("7", "7"),
        ("{{ '{{' }}", "{{"),
    ],
)
def test_values_keep_their_type(source: str, expected: Any) -> None:
    assert render_value(source, {"n": 7, "d": {"a": [1, None]}}) == expected


def test_placeholders() -> None:
    template = {"x": ["{{ y.z }} {{a}}", {"{{ k }}": "{{ $q }}"}], "n": 1, "o": "{{ a b }} {{ }} {{ c | d }} {{ a-b }}"}
    assert names(template) == {"y.z", "a", "k", "$q", "a-b"}


def test_base_job_template() -> None:
    check_base_job_template({})
    check_base_job_template({"job_configuration": {"x": "{{ a }}"}, "variables": {"properties": {"a": {}}}})
    for incomplete in ({"x": 1}, {"job_configuration": {"x": 1}}, {"job_configuration": {"x": 1}, "variables": {}}):
        with pytest.raises(ValueError) as caught:
            check_base_job_template(incomplete)
        assert str(caught.value) == (
            "The `base_job_template` must contain both a `job_configuration` key and a `variables` key."
        )
    with pytest.raises(ValueError, match=r"undeclared variable\(s\): y ,z\.$"):
        check_base_job_template({"job_configuration": {"x": "{{ z }}{{ y }}"}, "variables": {"properties": {"a": {}}}})

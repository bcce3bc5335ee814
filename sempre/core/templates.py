"""Templates that users write: Jinja in a sandbox whose loops, memory and output are bounded.

The bounds hold against templates that mean harm; they count steps and sizes, not seconds. Data that is itself huge
still costs time in proportion, so a server renders off its event loop.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any

from jinja2 import ChainableUndefined, Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from sempre.core import placeholders

__all__ = [
    "MAX_LOOPS",
    "MAX_LOOP_DEPTH",
    "MAX_OUTPUT",
    "MAX_RANGE",
    "MAX_SOURCE",
    "MAX_TAGS",
    "Budget",
    "RenderError",
    "TemplateProblem",
    "check_base_job_template",
    "render",
    "render_value",
    "validate_template",
]

MAX_RANGE = 100  # items
MAX_LOOPS = 10  # ``for`` statements in one template
MAX_LOOP_DEPTH = 2
MAX_OUTPUT = 1_000_000  # characters of the result and of every text on the way
MAX_SOURCE = 100_000  # characters of a template
MAX_TAGS = 1_000  # ``{{``, ``{%`` and ``{#`` in a template
MAX_STEPS = 200_000  # iterations, calls, filters and operations of one rendering
START = 500  # steps it costs to compile a template, besides one for each of its characters
MAX_COUNT = 10_000  # of a width given to a text function
MAX_BITS = 4096  # of a number

_BUDGET = " budget"  # no template can spell a name with a blank
# Widths of five digits, and widths that are taken from an argument: ``%*d``, ``{:{}}``.
_WIDE = re.compile(r"\d{5,}|%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{")
_TAKES_WIDTHS = frozenset(
    {"center", "ljust", "rjust", "zfill", "indent", "wordwrap", "truncate", "batch", "slice", "tojson"}
)


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Why a template is refused. ``line`` is 0 where the template as a whole is at fault."""

    line: int
    message: str
    source: str


class RenderError(ValueError):
    """A template failed; ``cause`` is the exception it raised, ``source`` the template."""

    def __init__(self, source: str, cause: BaseException) -> None:
        super().__init__(f"Failed to render template due to the following error: {cause!r}")
        self.source = source
        self.cause = cause


class Budget:
    """What one rendering may take, or several that share it."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.output = MAX_OUTPUT

    def begin(self, source: str) -> None:
        """Before a template of many is looked at."""
        self.spend(START + len(source))

    def spend(self, steps: int = 1) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise SecurityError(f"rendering takes more than {MAX_STEPS} steps")

    def take(self, size: int) -> None:
        self.output -= size
        if self.output < 0:
            raise OverflowError(f"more than {MAX_OUTPUT} characters come out")


def _spend(context: Context) -> None:
    budget = context.parent.get(_BUDGET)
    if isinstance(budget, Budget):
        budget.spend()


def _fits(size: int) -> None:
    if size > MAX_OUTPUT:
        raise OverflowError(f"the template makes a value of more than {MAX_OUTPUT} characters or items")


def _concat(parts: Iterable[str]) -> str:
    total = 0
    kept = []
    for part in parts:
        total += len(part)
        _fits(total)
        kept.append(part)
    return "".join(kept)


def _range(*bounds: int) -> range:
    items = range(*bounds)
    if len(items) > MAX_RANGE:
        raise OverflowError(f"Range too big. The sandbox blocks ranges larger than {MAX_RANGE}.")
    return items


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _check_arguments(name: str, subject: Any, arguments: list[Any]) -> None:
    """Refuse calls of text functions whose result could be far larger than what they are given."""
    numbers = [value for value in arguments if isinstance(value, int)]
    texts = [value for value in arguments if isinstance(value, str)]
    if name in _TAKES_WIDTHS and any(abs(number) > MAX_COUNT for number in numbers):
        raise OverflowError(f"{name} takes numbers up to {MAX_COUNT}.")
    if name == "replace" and len(texts) >= 2:
        _fits(len(str(subject)) + str(subject).count(texts[0]) * len(texts[1]))
    elif name == "indent":
        widths = [*numbers, *(len(text) for text in texts), 4]
        _fits(len(str(subject)) + (str(subject).count("\n") + 1) * max(widths))
    elif name == "tojson" and any(number > 16 for number in numbers):
        raise OverflowError("The indent of JSON may be 16 at most.")
    elif name == "join" and arguments:
        separator, items = (subject, arguments[0]) if isinstance(subject, str) else (arguments[0], subject)
        _fits(_size(separator) * _size(items) + sum(map(_size, items if isinstance(items, list | tuple) else ())))
    elif name == "format" and _WIDE.search(str(subject)):
        raise OverflowError("The width of a format is too large.")


_REFUSED_METHODS = frozenset({"expandtabs", "translate", "format_map", "maketrans"})


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    wanted = getattr(getattr(function, "jinja_pass_arg", None), "name", None)

    @wraps(function)
    def guarded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        _spend(context)
        _check_arguments(name, value, [*args, *kwargs.values()])
        given: dict[str | None, Any] = {
            "context": context,
            "eval_context": context.eval_ctx,
            "environment": context.environment,
        }
        leading = (given[wanted],) if wanted in given else ()
        result = function(*leading, value, *args, **kwargs)
        _fits(_size(result))
        return result

    return pass_context(guarded)


@pass_context
def _step(context: Context, value: Any) -> Any:
    _spend(context)
    return value


@pass_context
def _join(context: Context, first: Any, *others: Any) -> str:
    _spend(context)
    return _concat(str(part) for part in (first, *others))


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    concat = staticmethod(_concat)

    def __init__(self, filters: Mapping[str, Callable[..., Any]] | None = None) -> None:
        super().__init__(undefined=ChainableUndefined, autoescape=False, optimized=False, cache_size=0)
        self.globals["range"] = _range
        self.globals.pop("lipsum", None)
        self.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": str}
        self.filters = {name: _bounded_filter(name, use) for name, use in {**self.filters, **(filters or {})}.items()}
        self.filters[" step"] = _step
        self.filters[" join"] = _join

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _REFUSED_METHODS:
            return False
        return not attr.startswith("_") and super().is_safe_attribute(obj, attr, value)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        _spend(__context)
        method = getattr(__obj, "__wrapped__", __obj)  # the base class hides str.format behind a function of its own
        subject = getattr(method, "__self__", None)
        if isinstance(subject, str | bytes):
            _check_arguments(getattr(method, "__name__", ""), subject, [*args, *kwargs.values()])
        result = super().call(__context, __obj, *args, **kwargs)
        _fits(_size(result))
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _spend(context)
        numeric = isinstance(left, int) and isinstance(right, int)
        if operator == "*" and not numeric:
            for sized, times in ((left, right), (right, left)):
                if isinstance(times, int):
                    _fits(_size(sized) * times)
        elif operator == "+":
            _fits(_size(left) + _size(right))
        elif operator == "**" and numeric:
            _number_fits(left.bit_length() * max(right, 0))
        elif operator == "%" and isinstance(left, str):
            _check_arguments("format", left, list(right) if isinstance(right, tuple) else [right])
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int):
            _number_fits(result.bit_length())
        _fits(_size(result))
        return result


def _number_fits(bits: int) -> None:
    if bits > MAX_BITS:
        raise OverflowError(f"the template makes a number of more than {MAX_BITS} bits")


_PLAIN = _Sandbox()


_TOO_DEEP = "The template is nested too deeply."


def _parse(environment: _Sandbox, source: str) -> nodes.Template:
    if len(source) > MAX_SOURCE:
        raise TemplateSyntaxError(f"The template has more than {MAX_SOURCE} characters.", 0)
    if sum(map(source.count, ("{{", "{%", "{#"))) > MAX_TAGS:
        raise TemplateSyntaxError(f"The template has more than {MAX_TAGS} tags.", 0)
    try:
        return environment.parse(source)
    except RecursionError as error:
        raise TemplateSyntaxError(_TOO_DEEP, 0) from error


def validate_template(source: str) -> TemplateProblem | None:
    """Check syntax and loops; ``None`` if the template may be stored. Unknown filters and names show when rendering."""
    try:
        return _loop_problem(_parse(_PLAIN, source), source)
    except TemplateSyntaxError as error:
        return TemplateProblem(error.lineno, error.message or "", source)
    except RecursionError:
        return TemplateProblem(0, _TOO_DEEP, source)


def _loop_problem(tree: nodes.Template, source: str) -> TemplateProblem | None:
    count = sum(1 for _ in tree.find_all(nodes.For))
    if count > MAX_LOOPS:
        message = f"Contains {count} for loops. Templates can contain no more than {MAX_LOOPS} for loops."
        return TemplateProblem(0, message, source)
    depth = _depth(tree)
    if depth > MAX_LOOP_DEPTH:
        message = (
            f"Contains nested for loops at a depth of {depth}. "
            f"Templates can nest for loops no more than {MAX_LOOP_DEPTH} loops deep."
        )
        return TemplateProblem(0, message, source)
    return None


def _depth(node: nodes.Node) -> int:
    inner = max((_depth(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)


def _meter(environment: _Sandbox, tree: nodes.Template) -> nodes.Template:
    """Make every iteration and macro call cost a step, and every ``~`` check its size."""

    def step(value: nodes.Expr, line: int) -> nodes.Expr:
        return nodes.Filter(value, " step", [], [], None, None, lineno=line)

    bodies: list[nodes.For | nodes.Macro | nodes.CallBlock] = [
        *tree.find_all(nodes.For),
        *tree.find_all(nodes.Macro),
        *tree.find_all(nodes.CallBlock),
    ]
    for node in bodies:
        tick = nodes.ExprStmt(step(nodes.Const(0, lineno=node.lineno), node.lineno), lineno=node.lineno)
        node.body = [tick, *node.body]
        if isinstance(node, nodes.For) and node.test is not None:
            counted = step(nodes.Const(True, lineno=node.lineno), node.lineno)
            node.test = nodes.And(counted, node.test, lineno=node.lineno)
    _replace_concats(tree)
    tree.set_environment(environment)
    return tree


def _replace_concats(node: nodes.Node) -> None:
    for name, value in [*node.iter_fields()]:
        if isinstance(value, list):
            setattr(node, name, [_bounded_concat(item) for item in value])
        else:
            setattr(node, name, _bounded_concat(value))


def _bounded_concat(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _replace_concats(value)
    if isinstance(value, nodes.Concat):
        first, *others = value.nodes
        return nodes.Filter(first, " join", others, [], None, None, lineno=value.lineno)
    return value


@lru_cache(maxsize=256)
def _compiled(source: str, as_json: bool) -> Template | None:
    return _compile(_PLAIN, source, as_json)


def _compile(environment: _Sandbox, source: str, as_json: bool) -> Template | None:
    """The template; with ``as_json`` its single expression turned to JSON, or ``None`` if it is more than that."""
    tree = _parse(environment, source)
    problem = _loop_problem(tree, source)
    if problem is not None:
        raise SecurityError(problem.message)
    if as_json:
        output = tree.body[0] if len(tree.body) == 1 else None
        if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
            return None
        expression = output.nodes[0]
        if isinstance(expression, nodes.TemplateData):
            return None
        output.nodes = [nodes.Filter(expression, "tojson", [], [], None, None, lineno=expression.lineno)]
    return environment.from_string(_meter(environment, tree))


def _run(
    source: str, context: Mapping[str, Any], filters: Mapping[str, Any] | None, as_json: bool, budget: Budget
) -> str | None:
    try:
        template = _compiled(source, as_json) if not filters else _compile(_Sandbox(filters), source, as_json)
        if template is None:
            return None
        rendered = _concat(template.generate({**context, _BUDGET: budget}))
        budget.take(len(rendered))
        return rendered
    except Exception as error:  # whatever a user's template raises is the template's error
        raise RenderError(source, error) from error


def render(
    source: str,
    context: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] | None = None,
    budget: Budget | None = None,
) -> str:
    """The text of the template in ``context``; unknown names render as nothing.

    ``filters`` are added to the built-in ones; ``budget`` is for renderings that are bounded together. Raises
    :class:`RenderError`.
    """
    if "{{" not in source and "{%" not in source:
        return source
    return _run(source, context, filters, as_json=False, budget=budget or Budget()) or ""


def render_value(
    source: str,
    context: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] | None = None,
    budget: Budget | None = None,
) -> Any:
    """Like :func:`render`, but a template that is one bare expression gives its JSON value instead of its text."""
    stripped = source.strip()
    if stripped.startswith("{{") and stripped.endswith("}}"):
        try:
            encoded = _run(stripped, context, filters, as_json=True, budget=budget or Budget())
            if encoded is not None:
                return json.loads(encoded)
        except RenderError:  # no JSON in it, an undefined name for one: the text decides
            pass
    return render(source, context, filters, budget)


def check_base_job_template(template: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless a pool's template is empty, or complete and using declared variables only."""
    if not template:
        return
    variables = template.get("variables")
    if not template.get("job_configuration") or not variables:
        raise ValueError("The `base_job_template` must contain both a `job_configuration` key and a `variables` key.")
    declared = variables.get("properties") if isinstance(variables, Mapping) else None
    undeclared = placeholders.names(template["job_configuration"]) - set(declared or ())
    if undeclared:
        raise ValueError(
            "The variables specified in the job configuration template must be present as properties in the variables "
            "schema. Your job configuration uses the following undeclared variable(s): "
            f"{' ,'.join(sorted(undeclared))}."
        )

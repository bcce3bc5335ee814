"""Arguments of flows and tasks: bound to names, checked against type hints, described as JSON schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sempre.sdk.errors import ParameterBindError, ParameterTypeError, SignatureMismatchError

__all__ = ["Signature"]

_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD


class Signature:
    """What a function takes. Made once for each flow and task, at its first call."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self.fn = fn
        self.name = name
        self.signature = inspect.signature(fn)
        self.parameters = self.signature.parameters
        kinds = {parameter.kind for parameter in self.parameters.values()}
        self._is_plain = not kinds & {_POSITIONAL, _VAR_POSITIONAL, _VAR_KEYWORD}
        self._names = tuple(name for name, p in self.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.defaults = {
            name: parameter.default
            for name, parameter in self.parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
        self._model: Any = None

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], defaults: bool = True) -> dict[str, Any]:
        """Parameter name -> argument; `*args` is one tuple, `**kwargs` one dict.

        Raises ParameterBindError if the call does not fit.
        """
        if self._is_plain and len(args) <= len(self._names):
            given = dict(zip(self._names, args, strict=False))
            if kwargs.keys() <= self.parameters.keys() - given.keys():
                given.update(kwargs)
                bound = {**self.defaults, **given} if defaults else given
                if not defaults or len(bound) == len(self.parameters):
                    return bound
        try:
            binding = self.signature.bind(*args, **kwargs)
        except TypeError as why:
            signature = str(self.signature).removeprefix("(").removesuffix(")")
            raise ParameterBindError.of(self.name, signature, args, kwargs, why) from None
        if defaults:
            binding.apply_defaults()
        return dict(binding.arguments)

    def unbind(self, parameters: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments to call the function with; the inverse of :meth:`bind`."""
        if self._is_plain:
            return (), dict(parameters)
        binding = self.signature.bind_partial()
        for name in self.parameters:
            if name in parameters:
                binding.arguments[name] = parameters[name]
        return binding.args, binding.kwargs

    def accept(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters that a run was created with elsewhere, with the defaults of those it does not give.

        Raises SignatureMismatchError for names that the function does not have, ParameterBindError for missing ones.
        """
        strange = [name for name in parameters if name not in self.parameters]
        if strange:
            raise SignatureMismatchError(
                f"The run was created with the parameters {strange}, which the function '{self.name}' does not take; "
                f"it takes {list(self.parameters)}."
            )
        accepted = {**self.defaults, **parameters}
        optional = (_VAR_POSITIONAL, _VAR_KEYWORD)
        missing = [n for n, p in self.parameters.items() if n not in accepted and p.kind not in optional]
        if missing:
            why = f"missing a required argument: {missing[0]!r}"
            raise ParameterBindError.of(self.name, str(self.signature)[1:-1], (), parameters, why)
        return {name: accepted[name] for name in self.parameters if name in accepted}

    def validate(self, parameters: Mapping[str, Any], kind: str = "Flow") -> dict[str, Any]:
        """The parameters as their type hints want them. Raises ParameterTypeError, naming each that does not fit."""
        if not any(p.annotation is not inspect.Parameter.empty for p in self.parameters.values()):
            return dict(parameters)
        if self._model is None:
            from sempre.sdk.parameter_models import parameter_model

            self._model = parameter_model(self.fn, self.signature)
        given = {n: v for n, v in parameters.items() if not (n in self.defaults and self.defaults[n] is v)}
        return {**parameters, **self._check(given, kind)}

    def _check(self, given: dict[str, Any], kind: str) -> dict[str, Any]:
        from pydantic import ValidationError

        try:
            return self._model.check(given)  # type: ignore[no-any-return]
        except ValidationError as error:
            lines = [f" - {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
            raise ParameterTypeError(f"{kind} run received invalid parameters:\n" + "\n".join(lines)) from None

    def json_schema(self) -> dict[str, Any]:
        """The JSON schema of the parameters, as deployments carry it."""
        from sempre.sdk.parameter_models import parameter_model

        return parameter_model(self.fn, self.signature).json_schema()

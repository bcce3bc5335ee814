"""Flows."""

from sempre.sdk.flows import Flow, flow

__all__ = ["Flow", "flow"]

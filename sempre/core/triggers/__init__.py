"""Triggers of automations as state machines: events and the passing of time in, firings out. No I/O, no clock."""

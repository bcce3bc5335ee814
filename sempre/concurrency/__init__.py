"""Slots of concurrency limits, and rates."""

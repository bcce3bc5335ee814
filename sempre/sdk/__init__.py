"""Flows, tasks and everything around them. `sempre` exports what users need by its well-known names."""

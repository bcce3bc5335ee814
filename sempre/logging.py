"""Loggers whose lines belong to runs."""

from sempre.sdk.loggers import disable_run_logger, get_logger, get_run_logger

__all__ = ["disable_run_logger", "get_logger", "get_run_logger"]

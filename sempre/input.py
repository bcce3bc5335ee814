"""What people enter when they resume a run."""

from sempre.sdk.run_inputs import RunInput

__all__ = ["RunInput"]

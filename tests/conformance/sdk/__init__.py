"""Example flows, run with the stock SDK and with ours, compared."""

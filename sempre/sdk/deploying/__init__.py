"""Deployments: flows that others can run, and where their code comes from."""

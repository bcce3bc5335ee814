"""Tests of Sempre: unit, integration, conformance, chaos."""

"""Canaries: small flows that show whether an installation works, from one end to the other.

They use our SDK and client and nothing of the server, so that they fit any server of the protocol. `sempre canary run`
plays them once, `sempre canary serve` at their times for ever.
"""

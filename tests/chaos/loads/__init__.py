"""The load of the big chaos suite: everything that clients do, at a bounded rate, in a process of its own.

`StormLoad` (control.py) starts and ends it; `shape.py` says how much of what, and which settings the servers need;
what it asked, was answered and did is in `*.jsonl` files of one directory (kinds of lines: `lines.py`), which
`storm_audit` compares with the database. Simulated clients keep to the retry rules of the protocol's own (client.py).
"""

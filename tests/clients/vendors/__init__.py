"""Fake model providers for the SDK tests, one module a dialect, behind `/vendors/<dialect>` of the replay upstream.

Each is as strict as its vendor: unknown fields, tool results without a call, a signature that is not its own, a foreign
credential are refused with 400 (or 401, 403, 422) in the vendor's error shape. What it accepted it reads into one
vendor-neutral `Seen` (canon.py), which the log keeps, so that one test can ask of every provider what arrived.

The model name decides the answer: `<family>--<scenario>--<mark>` (scenarios.py), for example
`claude-sonnet-4-5--tools--8f3a`; `<family>--rec.<folder>.<name>--<mark>` is the recorded exchange.

Not a mock of load or of faults inside connections: replay_upstream.py and load-tests/ are. The rules are the vendors'
published ones as of 2026-11; where a vendor is laxer than the rule, the module says so.
"""

"""Networks whose weights a user brings: loaded once a process and device, and asked in chunks of one fixed size.

One file wraps one kind of network: arrays in, arrays out, nothing of clips. Operators ask them; no network knows
another.
"""

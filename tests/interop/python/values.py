"""The header values that the Python clients send."""

from datetime import datetime, timezone
from decimal import Decimal

OCTETS = b"caf\xe9"

VALUES = {
    "bool": True,
    "int": -7,
    "int beyond 32 bits": -(2**63),
    "decimal": Decimal("-3.14"),
    "str": "Zoë",
    "empty str": "",
    "bytes": b"text",
    "bytes that are no text": OCTETS,
    "datetime": datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc),
    "None": None,
    "list": [1, "a", [None], {}],
    "empty list": [],
    "dict": {"inner": {"n": 1}},
    "empty dict": {},
    OCTETS: 1,
}


def nested():
    """Returns headers that are nested deeper than Carrot reads."""
    headers = {}
    for _ in range(200):
        headers = {"inner": headers}
    return headers

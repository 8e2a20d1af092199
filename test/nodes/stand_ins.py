# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Messages as plain objects, and thousands of spoiled copies of them."""

import array
import random
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, 1e300, -1e30, 5e-324, 1000.0, -7.0)


def plain(message):
    """A ROS message with its fields in plain objects, which take wrong values too."""
    if hasattr(message, 'get_fields_and_field_types'):
        names = message.get_fields_and_field_types()
        return SimpleNamespace(**{name: plain(getattr(message, name)) for name in names})
    if isinstance(message, (list, np.ndarray, array.array)):
        return [plain(item) for item in message]
    return message


def spoil(value, rng, share):
    """The stand-in with a share of its leaves replaced; types stay those of the message."""
    if isinstance(value, SimpleNamespace):
        return SimpleNamespace(**{k: spoil(v, rng, share) for k, v in vars(value).items()})
    if isinstance(value, (list, np.ndarray, array.array)):
        items = [spoil(v, rng, share) for v in value]
        if rng.random() < share / 4:
            items = items[: rng.randrange(len(items) + 1)]
        if rng.random() < share / 4:
            items = items * 2
        return items
    if rng.random() > share:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return rng.choice(_NUMBERS)
    if isinstance(value, int):
        return rng.randrange(-(2**15), 2**15)
    return ''.join(chr(rng.randrange(1, 0x2FF)) for _ in range(rng.randrange(6)))


def spoiled(message, count: int, seed: int = 3) -> Iterator[SimpleNamespace]:
    """Copies of a ROS message that are wrong in a few places or in many."""
    good, rng = plain(message), random.Random(seed)
    for k in range(count):
        share = 0.002 if k % 20 == 0 else 10 ** rng.uniform(-3, -0.3)
        yield spoil(good, rng, share)

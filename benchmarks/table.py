# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.table``: docs/benchmarks.md from the results."""

import json
from pathlib import Path

from benchmarks.metrics import RESULTS

TARGET = Path(__file__).resolve().parents[1] / 'docs' / 'benchmarks.md'
HEAD = """\
# Measured

Made by `python -m benchmarks.table` from `benchmarks/results/*.json`; measure again with
`make bench`, or a part with `make bench ONLY=render`. Conditions, and how busy the machine was,
stand beside each number.
"""


def text() -> str:
    """The page."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob('*.json')):
        metrics = json.loads(path.read_text())
        parts.append(f'## {path.stem}\n')
        devices = sorted({m['device'] for m in metrics})
        commands = sorted({m['command'] for m in metrics})
        parts.append(f'{"; ".join(devices)}. `{"`, `".join(commands)}`\n')
        parts.append('| key | value | unit | better | conditions |\n|---|---:|---|---|---|')
        for m in metrics:
            parts.append(
                f'| `{m["key"]}` | {m["value"]:g} | {m["unit"]} | {m["better"]} '
                f'| {m["conditions"]} |'
            )
        parts.append('')
    return '\n'.join(parts)


def main() -> None:
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text())
    print(f'wrote {TARGET.relative_to(TARGET.parents[1])}')


if __name__ == '__main__':
    main()

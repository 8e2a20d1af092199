# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks [NAME ...]``: run all benchmarks, or those named."""

import argparse
import subprocess
import sys

from benchmarks import table

NAMES = (
    'render',
    'avatar',
    'network',
    'body',
    'tracking',
    'transport',
    'telepresence',
    'memory',
    'trackers',
    'people',
    'ros4hri',
    'fusion',
    'xr',
    'xr_pose_lane',
    'xr_reprojection',
    'xr_pairing',
    'xr_start',
    'xr_soak',
    'head_live',
    'head_actions',
    'gpu',
)


def main() -> int:
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(NAMES)}')
    names = parser.parse_args().names or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        parser.error(f'no benchmark {", ".join(sorted(unknown))}; there are {", ".join(NAMES)}')
    failed = []
    for name in names:
        print(f'== {name}', flush=True)
        if subprocess.run([sys.executable, '-m', f'benchmarks.{name}']).returncode:
            failed.append(name)
    table.main()
    if failed:
        print(f'failed: {", ".join(failed)}', file=sys.stderr)
    return len(failed)


if __name__ == '__main__':
    sys.exit(main())

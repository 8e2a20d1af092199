# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The name of this computer, for reports and benchmark results."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor and number of cores."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                model = line.partition(':')[2].strip()
                break
    return f'{model}, {os.cpu_count()} cores'

# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Body avatars: base, CHASE and SG-GS on a made capture and a real one, with ablations.

Every run is kept in ``out/benchmarks/body`` and not done again: a long benchmark can be stopped
and taken up. `--only TEXT` picks runs whose name holds the text, `--list` shows them.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.body_playing import live_graph, speed_of_bundle
from benchmarks.body_runs import COMMAND, FOLDER, RUNS, SIZE, STEPS, Run
from benchmarks.body_training import do
from benchmarks.metrics import RESULTS, Metric, write_results


def metrics_of(done: dict[Run, dict[str, float]]) -> list[Metric]:
    """Means over seeds, and gains over the base."""
    groups: dict[tuple[str, int, str, int], list[dict[str, float]]] = {}
    for run, numbers in done.items():
        groups.setdefault((run.capture, run.fraction, run.variant, run.steps), []).append(numbers)
    units = {'psnr': ('dB', True), 'psnr_box': ('dB', True), 'ssim': ('', True),
             'bake_loss_db': ('dB', False), 'parts_right': ('', True), 'parts_iou': ('', True),
             'cpu_s': ('s', False)}  # fmt: skip
    metrics = []
    for (capture, fraction, variant, steps), found in groups.items():
        where = f'preset cpu, {steps} steps, {SIZE} px, seeds {len(found)}'
        prefix = f'body.{capture}.{fraction}.{variant}' + ('' if steps == STEPS else f'.{steps}')
        for name in found[0]:
            kind = name.split('.')[-1]
            if kind == 'gaussians':
                continue
            unit, higher = units.get(kind, ('', False))
            values = [numbers[name] for numbers in found]
            scale = 1000 / steps if kind == 'cpu_s' else 1.0
            key = 'cpu_s_per_1k_steps' if kind == 'cpu_s' else name
            spread = f', {min(values) * scale:.4g}..{max(values) * scale:.4g}'
            metrics.append(
                Metric(
                    f'{prefix}.{key}', float(np.mean(values)) * scale, unit,
                    'higher' if higher else 'lower',
                    where + (spread if len(values) > 1 else ''), COMMAND,
                )
            )  # fmt: skip
        base = groups.get((capture, fraction, 'base', steps))
        if variant != 'base' and base:
            for split in ('novel_view', 'novel_pose'):
                gains = [
                    a[f'{split}.psnr'] - b[f'{split}.psnr']
                    for a, b in zip(found, base, strict=False)
                ]
                each = ', '.join(f'{gain:+.2f}' for gain in gains)
                metrics.append(
                    Metric(
                        f'{prefix}.{split}.gain_db', float(np.mean(gains)), 'dB', 'higher',
                        f'over the base, seed by seed {each}; {where}', COMMAND,
                    )
                )  # fmt: skip
    return metrics


def added_to_results(new: list[Metric]) -> list[Metric]:
    """All rows in the file of results, those measured anew in their places, others behind."""
    rows = json.loads((RESULTS / 'body.json').read_text())
    merged = {row['key']: Metric(**row) for row in rows}
    # Quality is the same everywhere; times of several machines do not mix.
    timed = {key for key in merged if key.endswith('cpu_s_per_1k_steps')}
    merged |= {metric.key: metric for metric in new if metric.key not in timed}
    return list(merged.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument('--only', default='', help='runs whose name holds this')
    parser.add_argument('--list', action='store_true')
    parser.add_argument(
        '--add',
        action='store_true',
        help='write the runs that are done into the results; all else there stays as it is',
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [run for run in RUNS if args.only in run.name]
    if args.list:
        print('\n'.join(run.name for run in wanted))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for run in [] if args.add else wanted:
        file = FOLDER / f'{run.name}.json'
        if file.exists():
            continue
        numbers = do(run)
        with tempfile.NamedTemporaryFile('w', dir=FOLDER, delete=False) as partial:
            json.dump(numbers, partial, indent=1)
        Path(partial.name).replace(file)
        print(run.name, {k: round(v, 3) for k, v in numbers.items()}, flush=True)
    if args.only:
        return
    done = {
        run: json.loads((FOLDER / f'{run.name}.json').read_text())
        for run in RUNS
        if (FOLDER / f'{run.name}.json').exists()
    }
    if args.add:
        write_results('body', added_to_results(metrics_of(done)))
    else:
        write_results('body', metrics_of(done) + speed_of_bundle() + live_graph())


if __name__ == '__main__':
    main()

# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Heads from three photographs: ``python -m benchmarks.heads --data D``.

D holds captures of many identities (`avatar_ros capture heads`); the last ones are never learned
from. Each call measures one variant and adds its rows to the results, for a prior takes long.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar_ros.body.flame import free_head
from avatar_ros.machine import machine
from avatar_ros.render import Engine, select_engine
from avatar_ros.training.evaluate import Score
from avatar_ros.training.head.cameras import PHOTOGRAPHS
from avatar_ros.training.head.capture import HeadCapture, load_head_captures
from avatar_ros.training.head.config import HeadTrainConfig, preset
from avatar_ros.training.head.evaluate import held_out, judge_head
from avatar_ros.training.head.personal import Personalisation, Stages, chosen
from avatar_ros.training.head.prior_file import Prior, load_prior, save_prior
from avatar_ros.training.head.prior_run import PriorRun
from benchmarks.face_identity import FaceEmbedding, identity_scores, portraits_of
from benchmarks.head_sheet import contact_sheet
from benchmarks.metrics import RESULTS, Metric, load

#: Variant -> what is left out of the networks.
NETWORKS = {
    'full': {},
    'no_part': {'parts': False},
    'no_dynamic': {'dynamic': False},
    'no_cnn': {'cnn': False},
}
#: What is left out of the way from photographs to a head, with the full networks.
STRATEGIES = {
    'no_prior': Stages(inversion=False, reference=False, from_prior=False),
    'inversion': Stages(finetune=False),
    'finetune': Stages(reference=False),
    'full': Stages(),
}
INSTANT = '00000'


def config_of(args: argparse.Namespace) -> HeadTrainConfig:
    config = preset(args.preset, args.seed)
    if args.iterations:
        config = replace(config, prior=replace(config.prior, iterations=args.iterations))
    if args.batch:
        config = replace(config, prior=replace(config.prior, batch=args.batch))
    network = replace(config.network, **NETWORKS[args.variant])
    # The substitute of LPIPS is not everywhere, and what is compared must be alike.
    loss = replace(config.loss, perceptual=0.0)
    return replace(config, network=network, loss=loss)


def made_prior(
    args: argparse.Namespace,
    config: HeadTrainConfig,
    captures: Sequence[HeadCapture],
    engine: Engine,
) -> tuple[Prior, float]:
    """The prior and the seconds it took; read back if it is there."""
    head = free_head()
    path = args.work / f'prior_{args.preset}_{args.variant}_{args.seed}.zip'
    if path.exists():
        # How photographs are used is the preset's business, not the prior's.
        prior = load_prior(path, head)
        prior = replace(prior, config=replace(prior.config, personal=config.personal))
        return prior, float(prior.about.get('seconds', 0.0))
    folder = args.work / path.stem
    if args.seconds and not folder.exists():
        iterations = what_fits(config, captures, engine, args.seconds)
        config = replace(config, prior=replace(config.prior, iterations=iterations))
    start = time.monotonic()
    run = PriorRun(folder, captures, config, head, engine)
    run.start(resume=folder.exists())
    run.train(progress=args.progress)
    seconds = time.monotonic() - start
    result = run.result()
    prior = replace(result, about={**result.about, 'seconds': seconds})
    save_prior(path, prior)
    cv2.imwrite(str(args.work / f'{path.stem}.jpg'), run.preview()[..., ::-1])
    return prior, seconds


def what_fits(
    config: HeadTrainConfig, captures: Sequence[HeadCapture], engine: Engine, seconds: float
) -> int:
    """Iterations of the prior that take about so many seconds here."""
    few = replace(config, prior=replace(config.prior, iterations=40))
    with tempfile.TemporaryDirectory() as folder:
        run = PriorRun(Path(folder) / 'timed', captures, few, free_head(), engine)
        run.start(False)
        times = []
        view = run.pictures
        for k in range(40):
            start = time.monotonic()
            views = [f.result() for f in view.ask(run._mine(k))]
            loss, _ = run.prior(views)
            run.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            run.optimizer.step()
            float(loss.detach())
            times.append(time.monotonic() - start)
    return max(40, int(seconds / np.median(times)))


def personalised(
    prior: Prior, capture: HeadCapture, engine: Engine, stages: Stages, progress: bool
) -> tuple[Personalisation, float]:
    """A head and the seconds it took."""
    start = time.monotonic()
    made = Personalisation(
        prior, chosen(capture, PHOTOGRAPHS, INSTANT), free_head(), engine, stages=stages
    )
    made.run(None, progress=progress)
    return made, time.monotonic() - start


def mean_of(found: Sequence[dict[str, Score]], split: str, what: str) -> float:
    return float(np.mean([scores[split].values[what] for scores in found]))


def rows_of(
    args: argparse.Namespace, case: str, found: Sequence[dict[str, Score]], about: str
) -> list[Metric]:
    """Rows of one case, means over the held-out identities."""
    command = f'python -m benchmarks.heads --data D --preset {args.preset}'
    if args.label:
        command += f' --iterations {args.iterations} --judge {args.judge} --label {args.label}'
    if args.variant != 'full':
        command += f' --variant {args.variant}'
    device = machine()
    if args.device_name:
        device = f'{args.device_name}; {device}'
    rows = []
    for split in found[0]:
        for what, unit in (('psnr', 'dB'), ('psnr_box', 'dB'), ('ssim', '1')):
            value = mean_of(found, split, what)
            key = f'head.{args.label or args.preset}.{case}.{split}.{what}'
            rows.append(Metric(key, value, unit, 'higher', about, command, device))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, help='captures of many identities')
    parser.add_argument('--preset', default='cpu', choices=('paper', 'gpu', 'cpu', 'preview'))
    parser.add_argument('--variant', default='full', choices=sorted(NETWORKS))
    parser.add_argument('--test', type=int, default=4, help='identities that are held out (4)')
    parser.add_argument('--judge', type=int, help='at most so many of them are made and judged')
    parser.add_argument(
        '--strategies', nargs='+', choices=sorted(STRATEGIES), help='not all of them'
    )
    parser.add_argument('--iterations', type=int, help="of the prior, instead of the preset's")
    parser.add_argument('--seconds', type=float, help='train the prior for about so long')
    parser.add_argument('--batch', type=int, help="of the prior, instead of the preset's")
    parser.add_argument('--label', help="in the keys instead of the preset's name, if it differs")
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work', type=Path, default=Path('out/heads'), help='priors are kept here')
    parser.add_argument('--out', type=Path, default=RESULTS / 'heads.json')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--identity', action='store_true', help='is the person known again? (dlib)')
    parser.add_argument('--progress', action='store_true')
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    engine = select_engine(args.engine)
    args.device_name = torch.cuda.get_device_name() if engine.device.type == 'cuda' else ''
    captures = load_head_captures(args.data)
    known, new = captures[: -args.test], captures[-args.test :][: args.judge]
    config = config_of(args)
    prior, seconds = made_prior(args, config, known, engine)
    strategies = STRATEGIES if args.variant == 'full' else {'full': Stages()}
    if args.strategies:
        strategies = {name: strategies[name] for name in args.strategies}
    without = (
        f'{len(new)} identities, networks trained anew on 3 photographs of one face; '
        f'{config.image_size} px; seed {args.seed}; {load()}'
    )
    about = (
        f'{len(new)} identities that the prior of {len(known)} ({prior.about["iterations"]} '
        f'iterations of {config.prior.batch} pictures, {seconds:.0f} s) never saw, 3 photographs '
        f'of one face; {config.image_size} px; seed {args.seed}; {load()}'
    )
    embed = FaceEmbedding() if args.identity else None
    portraits = portraits_of(embed, captures, config.image_size, INSTANT) if embed else {}
    sheets = []
    for name, stages in strategies.items():
        rows: list[Metric] = []
        found, times, plain, known_again = [], [], [], []
        for capture in new:
            made, took = personalised(prior, capture, engine, stages, args.progress)
            groups = held_out(capture, PHOTOGRAPHS, INSTANT)
            found.append(judge_head(made, groups))
            times.append(took)
            if embed is not None:
                scores = identity_scores(embed, made, capture, portraits)
                if scores is not None:
                    known_again.append(scores)
            if name == 'full':
                sheets.append(contact_sheet(made, capture))
                if config.network.cnn:
                    plain.append(judge_head(made, groups, refined=False))
        case = name if args.variant == 'full' else args.variant
        rows += rows_of(args, case, found, about if stages.from_prior else without)
        last = rows[-1]
        key = f'head.{args.label or args.preset}.{case}.personalisation_s'
        rows.append(replace(last, key=key, value=float(np.median(times)), unit='s', better='lower'))
        for what in known_again[0] if known_again else ():
            key = f'head.{args.label or args.preset}.{case}.identity.{what}'
            value = float(np.mean([scores[what] for scores in known_again]))
            told = (
                f'dlib embedding, {len(portraits)} people to tell apart, faces of '
                f'{len(known_again)} found; {last.conditions}'
            )
            rows.append(replace(last, key=key, value=value, unit='1', conditions=told))
        if plain:
            rows += rows_of(args, f'{case}_without_cnn_at_play', plain, about)
        write(args.out, rows)
    if not sheets:
        return
    path = args.work / f'{args.preset}_{args.variant}.webp'
    cv2.imwrite(str(path), np.vstack(sheets)[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])


def write(path: Path, rows: Sequence[Metric]) -> None:
    """Add the rows to a result file; those of the same key are replaced."""
    from dataclasses import asdict

    before = json.loads(path.read_text()) if path.exists() else []
    fresh = [{**asdict(row), 'value': float(f'{row.value:.4g}')} for row in rows]
    keys = {row['key'] for row in fresh}
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = sorted([r for r in before if r['key'] not in keys] + fresh, key=lambda r: r['key'])
    path.write_text(json.dumps(merged, indent=2) + '\n')
    for row in fresh:
        print(f'{row["key"]:60} {row["value"]:10.4g} {row["unit"]}')


if __name__ == '__main__':
    main()

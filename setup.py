# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""pip's way to this package: runs CMakeLists.txt and packs what that installs.

colcon does not read this file: package.xml says ament_cmake.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
NAME = 'avatar_ros'
VERSION = ET.parse(HERE / 'package.xml').getroot().findtext('version')

#: (directory under the prefix, files); the build fills it before setuptools installs data files.
data_files: list[tuple[str, list[str]]] = []


def ros_prefixes() -> str:
    """Where ROS packages lie: a sourced ROS 2, this environment, pip's build environment."""
    found = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for entry in [sys.prefix, *sys.path]:
        path = Path(entry or '.').resolve()
        for prefix in (path, *path.parents[:3]):  # PREFIX/lib/python3.11/site-packages
            if (prefix / 'share/ament_index/resource_index/packages').is_dir():
                found.append(str(prefix))
    return os.pathsep.join(dict.fromkeys(found))


class CMakeBuild(build_ext):
    """Generates and compiles the messages with the real rosidl, in place or not."""

    def run(self) -> None:
        build = Path(self.build_temp).resolve() / NAME
        prefixes = ros_prefixes()
        self._forget_other_environments(build, f'{sys.executable}\n{prefixes}')
        stage = build / 'stage'
        shutil.rmtree(stage, ignore_errors=True)
        self._cmake(build, stage, prefixes)

        generated = next(p.parent.parent for p in stage.rglob(f'{NAME}/msg/__init__.py'))
        in_place = self.inplace or getattr(self, 'editable_mode', False)
        self._copy_generated(generated, HERE / NAME if in_place else Path(self.build_lib) / NAME)
        self._collect_data_files(stage, site_packages=generated.parent)

    def _forget_other_environments(self, build: Path, made_with: str) -> None:
        """pip's build environments come and go; a CMake cache from one breaks the next build."""
        stamp = build / 'made_with'
        if not stamp.exists() or stamp.read_text() != made_with:
            shutil.rmtree(build, ignore_errors=True)
        build.mkdir(parents=True, exist_ok=True)
        stamp.write_text(made_with)

    def _cmake(self, build: Path, stage: Path, prefixes: str) -> None:
        # pip's build environment works through sitecustomize, which must not leak into
        # the generators; they get what this process sees as PYTHONPATH instead.
        python_path = [
            p for p in sys.path if Path(p).is_dir() and not (Path(p) / 'sitecustomize.py').exists()
        ]
        env = dict(
            os.environ,
            AMENT_PREFIX_PATH=prefixes,
            CMAKE_PREFIX_PATH=prefixes,
            PYTHONPATH=os.pathsep.join(p for p in python_path if p),
        )
        in_venv = sys.prefix != sys.base_prefix
        configure = ['cmake', '-S', str(HERE), '-B', str(build / 'cmake')]
        if shutil.which('ninja'):
            configure += ['-G', 'Ninja']
        configure += [
            f'-DCMAKE_INSTALL_PREFIX={stage}',
            '-DCMAKE_BUILD_TYPE=Release',
            '-DBUILD_TESTING=OFF',
            '-DCMAKE_SKIP_RPATH=ON',
            f'-DPython3_EXECUTABLE={sys.executable}',
            '-DPython3_FIND_VIRTUALENV=ONLY' if in_venv else '-DPython3_FIND_STRATEGY=LOCATION',
        ]
        for command in (
            configure,
            ['cmake', '--build', str(build / 'cmake'), '--parallel', '2'],
            ['cmake', '--install', str(build / 'cmake')],
        ):
            subprocess.run(command, check=True, env=env)

    def _copy_generated(self, generated: Path, target: Path) -> None:
        self._outputs = []
        for path in generated.rglob('*'):
            relative = path.relative_to(generated)
            message_code = relative.parts[0] == 'msg' and path.suffix == '.py'
            if message_code or path.suffix == '.so':
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target / relative)
                self._outputs.append(str(target / relative))

    def _collect_data_files(self, stage: Path, site_packages: Path) -> None:
        """The rest lies beside the wheels' own files: PREFIX/lib, share, include."""
        for root, _, files in os.walk(stage):
            folder = Path(root)
            relative = folder.relative_to(stage)
            if site_packages in (folder, *folder.parents) or 'parent_prefix_path' in relative.parts:
                continue
            if files:
                data_files.append((str(relative), [str(folder / name) for name in files]))
        # An editable install asks for this name, which setuptools does not define.
        self.distribution.has_data = self.distribution.has_data_files

    def get_outputs(self) -> list[str]:
        return list(getattr(self, '_outputs', []))

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_source_files(self) -> list[str]:
        sources = [p for pattern in ('msg/*', 'cmake/*') for p in HERE.glob(pattern)]
        return [str(p.relative_to(HERE)) for p in sources] + ['CMakeLists.txt', 'package.xml']

    def copy_extensions_to_source(self) -> None:
        """Nothing to do: run() has put the generated files where they belong."""


setup(
    version=VERSION,
    ext_modules=[Extension(f'{NAME}._rosidl', sources=[])],  # makes it a platform wheel
    cmdclass={'build_ext': CMakeBuild},
    data_files=data_files,
)

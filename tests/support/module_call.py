# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module: within the test, or as a process of its own that a test can signal and kill.

python -m tests.support.module_call ocne_boot_image < parameters.json
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import tests.conftest  # makes the collection importable
from tests.support.command import ROOT

assert tests.conftest


class ModuleFailed(Exception):
    """What the module said in fail_json."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result["msg"])
        self.result = result


def call(module: str, params: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """The result of the collection's module of that name.

    :raises ModuleFailed: it failed.
    """
    from ansible.module_utils import basic

    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": _arguments(params, check)}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    output = io.StringIO()
    main = importlib.import_module(f"ansible_collections.ocne.images.plugins.modules.{module}").main
    with _signals_restored(), contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        main()
    result: dict[str, Any] = json.loads(output.getvalue())
    if result.get("failed"):
        raise ModuleFailed(result)
    return result


def message(module: str, params: dict[str, Any], check: bool = False) -> str:
    """What the module says when it fails, which it has to."""
    try:
        result = call(module, params, check)
    except ModuleFailed as failed:
        return str(failed)
    raise AssertionError(f"The module did not fail: {result}")


def start(module: str, params: dict[str, Any], program: str = "tests.support.module_call") -> subprocess.Popen[str]:
    """The module in a process of its own; its result is what it prints.

    :param program: that calls main().
    """
    process = subprocess.Popen([sys.executable, "-m", program, module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(params))
    process.stdin.close()
    process.stdin = None
    return process


def _arguments(params: dict[str, Any], check: bool) -> dict[str, Any]:
    return {**{name: value for name, value in params.items() if value is not None}, "_ansible_check_mode": check, "_ansible_diff": True}


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def main() -> None:
    """The module that the command line names, with the parameters of standard input."""
    try:
        print(json.dumps(call(sys.argv[1], json.load(sys.stdin), "--check" in sys.argv[2:])))
    except ModuleFailed as failed:
        print(json.dumps(failed.result))
        sys.exit(1)


if __name__ == "__main__":
    main()

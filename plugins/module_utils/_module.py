# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one shape of a module: parse, plan, stop in check mode, apply, report.

A module gives an argument spec and a function that makes a Step of the parameters. Everything else is here: check
mode and diff take the very plan that a run carries out, an error becomes one message, and a signal ends the step by
an exception, so that what it holds is released.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Callable, NoReturn, Optional, Protocol

from ansible.module_utils.basic import AnsibleModule

from ._digests import remembering
from ._errors import OcneError
from ._files import remove_leftovers
from ._imagebuild.progress import Progress
from ._platform import CACHE_FOLDER
from ._progress import reporting

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True)
class Plan:
    """What a step would do.

    :param actions: what is to be done, in order, for people; empty when nothing is to be done.
    :param before: state of now, for the diff (JSON-able).
    :param after: state afterwards, as far as it can be known.
    :param result: what the module returns when nothing is to be done or in check mode.
    :param context: what apply() needs of what was observed; opaque to all others.
    :param artefact: the file or folder that is made, if any.
    """

    actions: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    result: Mapping[str, Any] = field(default_factory=dict)
    context: Any = None
    artefact: Optional[Path] = None

    @property
    def changed(self) -> bool:
        return bool(self.actions)


class Step(Protocol):
    """A module's work."""

    def plan(self) -> Plan:
        """Observe, read only, and decide."""

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        """Carry the plan out and return the module's result.

        With 'changed': False in it when nothing was left to do, since another run has done it meanwhile; with
        'changes' in it, they complete the diff's after.
        """


class Cancelled(BaseException):
    """The user or the system ended the run. No Exception, so that nothing swallows it on its way."""


def run(make_step: Callable[[dict[str, Any], Progress], Step], argument_spec: dict[str, Any], **module_options: Any) -> None:
    """Run a module to its end: exit_json or fail_json.

    :param make_step: of the module's parameters, and what the step is to tell of its progress.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **module_options)
    for number in _SIGNALS:
        signal.signal(number, _cancel)
    try:
        report, facts = _outcome(module, make_step)
        _ignore_signals()  # what is said from here on is said to its end
    except Cancelled as cancelled:
        report, facts = module.fail_json, {"msg": f"Ended by {cancelled}. What was begun has been removed, or is taken up by the next run."}
    report(**facts)


def _outcome(
    module: AnsibleModule, make_step: Callable[[dict[str, Any], Progress], Step]
) -> tuple[Callable[..., NoReturn], dict[str, Any]]:
    """How the module ends, and what it says then."""
    try:
        with reporting() as progress, remembering(_cache(module.params), keep=not module.check_mode):
            step = make_step(module.params, progress)
            progress("looking at what is there", 0, None)
            plan = step.plan()
            if plan.artefact and not plan.changed and not module.check_mode:
                remove_leftovers(plan.artefact)
            result = {"changed": plan.changed, **(plan.result if module.check_mode or not plan.changed else step.apply(plan))}
    except OcneError as error:
        return module.fail_json, {"msg": str(error), **error.details}
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return module.fail_json, {"msg": f"The system refused an operation on{where or ' a file'}: {error.strerror or error}."}
    known = {"changes": result["changes"]} if "changes" in result else {}
    diff = {"before": dict(plan.before), "after": {**plan.after, **known}}
    return module.exit_json, {"actions": list(plan.actions), "diff": diff, **result}


def _cache(params: Mapping[str, Any]) -> Path:
    return Path(params.get("cache_dir") or CACHE_FOLDER).expanduser()


def _cancel(number: int, _frame: FrameType | None) -> NoReturn:
    _ignore_signals()  # a second one must not break off the clean-up that the first one began
    raise Cancelled(signal.Signals(number).name)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)

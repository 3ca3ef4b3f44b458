# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for modules that were left to themselves, and shows meanwhile how far they are."""

from __future__ import annotations

import contextlib
import posixpath
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.ocne.images.plugins.plugin_utils._progress.action import say
from ansible_collections.ocne.images.plugins.plugin_utils._progress.channel import Channel
from ansible_collections.ocne.images.plugins.plugin_utils._progress.listener import Interrupted, Listener, Watched
from ansible_collections.ocne.images.plugins.plugin_utils._progress.teller import Teller

#: Seconds between two looks for results.
_PAUSE = 2.0
#: What a task with a module of this collection and poll: 0 registers of it, among other things.
_REGISTERED = {"ansible_job_id", "results_file", "progress"}


@dataclass(frozen=True)
class _Job:
    """A module that was started, as its task has registered it."""

    registered: Mapping[str, Any]
    channel: Channel
    watched: Watched

    @property
    def label(self) -> str:
        return str(self.registered["progress"]["label"]) or f"job {self.registered['ansible_job_id']}"


class ActionModule(ActionBase):  # type: ignore[misc]
    """The controller's half of ocne_build_wait, which has no other."""

    def run(self, tmp: None = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, options = self.validate_argument_spec(
            {"jobs": {"type": "list", "elements": "dict", "required": True}, "wait_timeout": {"type": "int", "default": 86400}}
        )
        if unfit := [job for job in options["jobs"] if not set(job) >= _REGISTERED]:
            return {**result, "failed": True, "msg": f"This is no result of a module of ocne.images in a task with poll: 0: {unfit[0]}"}
        jobs = [self._job(job) for job in options["jobs"]]
        listener = Listener([job.watched for job in jobs], say)
        try:
            with listener:
                found = self._wait(jobs, listener, time.monotonic() + options["wait_timeout"], task_vars)
        except Interrupted as interrupted:
            for job in jobs:
                self._forget(job, task_vars)
            with contextlib.suppress(Exception):
                self.cleanup()
            listener.take_effect(interrupted)
            raise
        return {**result, **_summary(jobs, found)}

    def _job(self, registered: Mapping[str, Any]) -> _Job:
        channel = Channel(self, registered["progress"]["path"])
        label = registered["progress"]["label"]
        return _Job(registered, channel, Watched(channel, Teller(label, time.monotonic()) if label else None))

    def _wait(self, jobs: Sequence[_Job], listener: Listener, deadline: float, task_vars: Optional[dict[str, Any]]) -> list[dict[str, Any]]:
        """The jobs' results, in their order. What has not ended at the deadline has failed, and is left alone."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            for job in jobs:
                identifier = job.registered["ansible_job_id"]
                if identifier in found:
                    continue
                state = self._ask(job, "status", task_vars)
                if state.get("finished"):
                    listener.leave(job.watched)
                    self._forget(job, task_vars)
                    found[identifier] = state
                elif time.monotonic() > deadline:
                    found[identifier] = {"failed": True, "msg": "It has not ended. Raise wait_timeout, or find out what it waits for."}
            if len(found) == len(jobs):
                return [found[job.registered["ansible_job_id"]] for job in jobs]
            time.sleep(_PAUSE)

    def _ask(self, job: _Job, mode: str, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        arguments = {"jid": job.registered["ansible_job_id"], "mode": mode, "_async_dir": posixpath.dirname(job.registered["results_file"])}
        answer: dict[str, Any] = self._execute_module("ansible.legacy.async_status", arguments, task_vars=task_vars)
        return answer

    def _forget(self, job: _Job, task_vars: Optional[dict[str, Any]]) -> None:
        """Remove what is kept of it on its host."""
        with contextlib.suppress(Exception):
            self._ask(job, "cleanup", task_vars)
        job.channel.forget()


def _summary(jobs: Sequence[_Job], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    results = [{**state, **({"item": job.registered["item"]} if "item" in job.registered else {})} for job, state in zip(jobs, found)]
    summary = {"results": results, "changed": any(each.get("changed") for each in results)}
    failures = [f"{job.label}: {each.get('msg', 'no message')}" for job, each in zip(jobs, results) if each.get("failed")]
    if failures:
        return {**summary, "failed": True, "msg": "\n".join(failures)}
    return summary

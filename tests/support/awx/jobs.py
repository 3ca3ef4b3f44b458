# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs jobs of templates as AWX does (main/tasks/jobs.py): a private data directory with project, inventory, extra variables and the
files of credentials; ansible-runner over it; its events.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import ansible_runner
import yaml
from awx_plugins.interfaces._temporary_private_api import ManagedCredentialType
from awx_plugins.interfaces._temporary_private_container_api import CONTAINER_ROOT
from awx_plugins.interfaces._temporary_private_credential_api import Credential
from awx_plugins.interfaces._temporary_private_inject_api import inject_credential

from tests.support.collection import collections_path
from tests.support.command import ROOT

from .api import Awx
from .rules import Json

#: AWX cuts results of events at this number of bytes.
MAX_EVENT_RES = 700000


@dataclass
class Job:
    """A job that has ended.

    :param status: 'successful', 'failed' or 'timeout'.
    :param events: as ansible-runner hands them to AWX.
    :param folder: the private data directory, with all that was written into it.
    :param injected: the files of credentials in it.
    """

    template: str
    status: str
    folder: Path
    injected: set[Path]
    events: list[Json] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "\n".join(str(event["stdout"]) for event in self.events)

    @property
    def changed(self) -> int:
        """How many tasks changed something; 0 where the job did not come to its end."""
        stats = (event["event_data"]["changed"] for event in self.events if event["event"] == "playbook_on_stats")
        return sum(number for hosts in stats for number in hosts.values())

    def results(self) -> list[Json]:
        return [event["event_data"]["res"] for event in self.events if "res" in event.get("event_data", {})]

    def written(self) -> dict[Path, bytes]:
        """All that is kept of the job, by file: not what its credentials injected, nor the project."""
        files = (path for name in ("artifacts", "env", "inventory") for path in (self.folder / name).rglob("*"))
        return {path: path.read_bytes() for path in files if path.is_file() and path not in self.injected}


class Launcher:
    """Launches templates of an AWX.

    :param folder: for private data directories, and the home of the jobs.
    :param run: runs what lies in a private data directory, given the name of the playbook, the environment, and the job's number.
    """

    def __init__(self, awx: Awx, folder: Path, run: Optional[Callable[..., tuple[str, list[Json]]]] = None) -> None:
        self._awx = awx
        self._folder = folder
        self._run = run or run_here
        self._number = 0

    def job(self, name: str, check: bool = False, **answers: object) -> Job:
        """Launch a job template with these answers to its survey."""
        self._number += 1
        template = self._awx.find("job_templates", name=name)
        folder = Path(tempfile.mkdtemp(prefix=f"awx_{self._number}_", dir=self._folder))
        (folder / "env").mkdir()
        shutil.copytree(ROOT / "playbooks", folder / "project/playbooks")
        self._write_inventory(template["inventory"], folder / "inventory")
        fixed = json.loads(template["extra_vars"])
        (folder / "env/extravars").write_text(_dump({**fixed, **self._answers("job_templates", template, answers)}, fixed))
        environment = self._environment(folder)
        before = set((folder / "env").iterdir())
        arguments = ["--check"] if check else []
        for credential in self._awx.tied("job_templates", template["id"], "credentials"):
            inject(
                self._awx.objects["credential_types"][credential["credential_type"]], credential["inputs"], environment, arguments, folder
            )
        injected = set((folder / "env").iterdir()) - before
        status, events = self._run(folder, template["playbook"], environment, self._number, arguments)
        return Job(name, status, folder, injected, events)

    def workflow(self, name: str, **answers: object) -> list[Job]:
        """Launch a workflow; its jobs, up to the first one that failed."""
        workflow = self._awx.find("workflow_job_templates", name=name)
        nodes = [
            node for node in self._awx.objects["workflow_job_template_nodes"].values() if node["workflow_job_template"] == workflow["id"]
        ]
        following = {node["id"]: self._awx.tied("workflow_job_template_nodes", node["id"], "success_nodes") for node in nodes}
        later = {node["id"] for after in following.values() for node in after}
        handed_on = self._answers("workflow_job_templates", workflow, answers)
        jobs, ready = [], [node for node in nodes if node["id"] not in later]
        while ready:
            node = ready.pop(0)
            template = self._awx.objects["job_templates"][node["unified_job_template"]]
            asked = {question["variable"] for question in self._awx.surveys["job_templates", template["id"]]["spec"]}
            jobs.append(self.job(template["name"], **{key: value for key, value in handed_on.items() if key in asked}))
            ready += following[node["id"]] if jobs[-1].status == "successful" else []
        return jobs

    def _answers(self, kind: str, template: Json, answers: Mapping[str, object]) -> Json:
        """What the survey gives: a default that is valid counts for what is not answered, unless the question is required."""
        questions = {question["variable"]: question for question in self._awx.surveys[kind, template["id"]]["spec"]}
        unknown, missing = (
            set(answers) - set(questions),
            [name for name, each in questions.items() if each["required"] and name not in answers],
        )
        if unknown or missing:
            raise ValueError(f"{template['name']}: not asked for: {unknown}; not answered: {missing}")
        defaults = {name: each["default"] for name, each in questions.items() if "default" in each and _at_least(each)}
        return {**defaults, **answers}

    def _write_inventory(self, inventory: int, folder: Path) -> None:
        hosts = {
            host["name"]: json.loads(host["variables"]) for host in self._awx.objects["hosts"].values() if host["inventory"] == inventory
        }
        listing = {"all": {"hosts": list(hosts)}, "_meta": {"hostvars": hosts}}
        folder.mkdir()
        (folder / "hosts").write_text(f"#!/usr/bin/env python3\nprint({json.dumps(listing)!r})\n")
        (folder / "hosts").chmod(0o700)

    def _environment(self, folder: Path) -> dict[str, Any]:
        return {
            "AWX_PRIVATE_DATA_DIR": str(folder),
            "JOB_ID": str(self._number),
            "MAX_EVENT_RES": str(MAX_EVENT_RES),
            "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        }


def inject(kind: Json, inputs: Json, environment: dict[str, Any], arguments: list[str], folder: Path) -> None:
    """Write a credential's files into the private data directory, and what its type injects into environment and arguments."""
    # AWX's database hands them out by the length of their names, whatever the order in which they came.
    injectors = {
        name: dict(sorted(injector.items(), key=lambda item: (len(item[0]), item[0]))) for name, injector in kind["injectors"].items()
    }
    credential_type = ManagedCredentialType("", kind["name"], "cloud", kind["inputs"], injectors)
    inject_credential(credential_type, Credential(inputs), environment, {}, arguments, str(folder))


def run_here(folder: Path, playbook: str, environment: dict[str, Any], number: int, arguments: list[str]) -> tuple[str, list[Json]]:
    """Run it by ansible-runner without a container; status and events."""
    outside = {name: value.replace(f"{CONTAINER_ROOT}/", f"{folder}/") for name, value in environment.items()}
    tools = {
        "HOME": str(folder.parent),
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    run = ansible_runner.run(
        ident=str(number),
        private_data_dir=str(folder),
        playbook=playbook,
        inventory=str(folder / "inventory/hosts"),
        envvars={**outside, **tools},
        cmdline=" ".join(arguments) or None,
        passwords={"yes": "yes", "no": "no", "": ""},
        suppress_env_files=True,
        settings={"idle_timeout": 120},
        quiet=True,
    )
    return str(run.status), list(run.events)


class _Unsafe(str):
    """A value that is no template."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value)))


def _at_least(question: Json) -> bool:
    """Whether the default is as long, or as much, as its question demands."""
    default = question["default"]
    return bool((default if isinstance(default, (int, float)) else len(default)) >= question.get("min", 0))


def _dump(variables: Json, fixed: Json) -> str:
    """Extra variables as YAML: only those that the template fixes can be templates of Ansible (AWX's main/utils/safe_yaml.py)."""
    marked = {name: _Unsafe(value) if isinstance(value, str) and fixed.get(name) != value else value for name, value in variables.items()}
    return yaml.dump(marked, Dumper=_Dumper)

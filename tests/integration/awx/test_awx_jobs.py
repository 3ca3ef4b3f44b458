# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes OCK images in AWX, from the playbook that loads it to the jobs that it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.awx import Job, Launcher
from tests.support.awx.jobs import MAX_EVENT_RES
from tests.support.awx.site import Site, changed

WORKFLOW = "OCK image workflow"
STEPS = ("OCK boot image", "OCK custom image", "OCK ostree archive", "OCK ostree archive push")


@pytest.fixture(scope="module")
def runs(site: Site, tmp_path_factory: pytest.TempPathFactory) -> list[list[Job]]:
    """The jobs of the workflow, launched twice as a schedule does it: nobody answers the survey."""
    launcher = Launcher(site.awx, tmp_path_factory.mktemp("jobs"))
    return [launcher.workflow(WORKFLOW), launcher.workflow(WORKFLOW)]


def test_second_load_changes_nothing(site: Site) -> None:
    assert [changed(printed) for printed in site.loads] == [10, 0]


def test_load_shows_no_secret(site: Site) -> None:
    assert not [secret for secret in site.secrets() if secret in "".join(site.loads)]


def test_schedule_starts_the_workflow(site: Site) -> None:
    schedule = site.awx.find("schedules")
    workflow = site.awx.find("workflow_job_templates", name=WORKFLOW)
    assert schedule["enabled"] and schedule["unified_job_template"] == workflow["id"]


def test_every_playbook_of_a_template_is_in_the_project(site: Site) -> None:
    root = Path(__file__).resolve().parents[3]
    for template in site.awx.objects["job_templates"].values():
        assert (root / template["playbook"]).is_file()
        assert template["project"] == site.awx.find("projects", name="OCK images")["id"]


def test_workflow_converts_uploads_archives_and_pushes(runs: list[list[Job]], site: Site) -> None:
    first, _second = runs
    assert [(job.template, job.status) for job in first] == [(name, "successful") for name in STEPS], first[-1].output
    assert [job.changed for job in first] == [1, 1, 1, 1]
    (image,) = site.cloud.images.by_id.values()
    assert image.document["displayName"] == "ock"
    assert site.images.request_count("PUT /v2/ock-ostree-server/manifests/1.33") == 1


@pytest.mark.usefixtures("runs")
def test_journals_outlive_the_container_of_a_job(site: Site) -> None:
    assert Path(site.variables["ocne_images_awx_folder"], "uploads").is_dir()
    assert not (site.folder / ".ocne/uploads").exists()


def test_second_run_changes_nothing(runs: list[list[Job]]) -> None:
    _first, second = runs
    assert [(job.status, job.changed) for job in second] == [("successful", 0)] * 4


def test_no_secret_is_in_what_is_kept_of_a_job(runs: list[list[Job]], site: Site) -> None:
    secrets = {secret.encode() for secret in site.secrets()}
    for job in (job for jobs in runs for job in jobs):
        assert any(secret in path.read_bytes() for path in job.injected for secret in secrets)
        kept = {**job.written(), Path("events"): json.dumps(job.events).encode()}
        assert len(kept) > len(job.events)
        assert not [path for path, content in kept.items() if any(secret in content for secret in secrets)]


def test_injected_files_are_private(runs: list[list[Job]]) -> None:
    assert {path.stat().st_mode & 0o777 for jobs in runs for job in jobs for path in job.injected} == {0o600}


def test_results_fit_into_events(runs: list[list[Job]]) -> None:
    results = [result for jobs in runs for job in jobs for result in job.results()]
    assert len(results) > 10
    assert max(len(json.dumps(result)) for result in results) < MAX_EVENT_RES


def test_answers_reach_the_module(site: Site, tmp_path: Path) -> None:
    answers = {"ocne_images_awx_kernel_arguments": "console=ttyS0,115200 quiet", "ocne_images_architecture": "amd64"}
    job = Launcher(site.awx, tmp_path).job("OCK boot image", check=True, **answers)
    assert job.status == "successful", job.output
    called = [each.get("invocation", {}).get("module_args", {}) for result in job.results() for each in result.get("results", ())]
    assert [call["kernel_arguments"] for call in called if "kernel_arguments" in call] == [["console=ttyS0,115200", "quiet"]]


def test_fleet_is_made_for_the_combinations_that_are_answered(site: Site, tmp_path: Path) -> None:
    answers = {
        "ocne_images_awx_kubernetes_versions": "1.33 1.32",
        "ocne_images_awx_providers": "oci olvm",
        "ocne_images_display_name": "fleet",
    }
    job = Launcher(site.awx, tmp_path).job("OCK fleet", **answers)
    assert job.status == "successful", job.output
    made = {image.document["displayName"] for image in site.cloud.images.by_id.values()}
    assert {"fleet-1.33-amd64", "fleet-1.32-amd64"} <= made
    assert ("olvm", "1.32") in {(row["provider"], row["kubernetes_version"]) for row in _facts(job)["ocne_images_fleet"]}


def test_workflow_asks_what_its_jobs_ask(site: Site) -> None:
    jobs = [site.awx.find("job_templates", name=name) for name in STEPS]
    workflow = site.awx.find("workflow_job_templates", name=WORKFLOW)
    asked = set().union(*(_asked(site, "job_templates", job) for job in jobs))
    assert _asked(site, "workflow_job_templates", workflow) == asked


def _asked(site: Site, kind: str, template: dict[str, Any]) -> set[str]:
    return {question["variable"] for question in site.awx.surveys[kind, template["id"]]["spec"]}


def _facts(job: Job) -> dict[str, Any]:
    return {name: value for result in job.results() for name, value in result.get("ansible_facts", {}).items()}


@pytest.mark.usefixtures("runs")
def test_job_without_an_account_asks_nobody(site: Site, tmp_path: Path) -> None:
    """It has a terminal, as every job of AWX has, and nobody who sits there."""
    template = site.awx.find("job_templates", name="OCK ostree archive push")
    ties = site.awx.ties["job_templates", template["id"], "credentials"]
    kept, ties[:] = list(ties), []
    try:
        job = Launcher(site.awx, tmp_path).job(template["name"], ocne_images_upload_dest=site.images.reference("another:1"))
    finally:
        ties[:] = kept
    assert job.status == "failed"
    assert "wants an account" in job.output
    assert "Username at" not in job.output

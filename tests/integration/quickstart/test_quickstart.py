# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ./quickstart does once the machine is ready, as the README promises it."""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request

import pytest

from tests.support.command import CACHE, ROOT, run


def test_quickstart_does_what_the_readme_says() -> None:
    before = _checkout()

    said = run(sys.executable, "-B", "-m", "tests.support.demonstration", cwd=ROOT)

    assert re.findall(r"\bchanged=(\d+)", re.sub("==> changed.*", "", said)) == ["2", "0", "2", "0"]
    assert re.search(r"^image +ocid1\.image\.\S+ \(ock, AVAILABLE\)$", said, re.MULTILINE)
    (commit,) = re.findall(r"^commit +([0-9a-f]{64})$", said, re.MULTILINE)
    assert re.search(rf"^==> curl http://\S+/ostree/refs/heads/ock\n{commit}$", said, re.MULTILINE)
    assert commit in run("skopeo", "inspect", "--config", f"dir:{CACHE}/quickstart/archive")
    assert _checkout() == before
    urls = set(re.findall(r"http://127\.0\.0\.1:\d+", said)) | {f"http://{host}" for host in re.findall(r"docker://(localhost:\d+)", said)}
    assert len(urls) == 3
    for url in urls:
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(url, timeout=5)


def _checkout() -> str:
    """All that is not in .cache, as far as it differs from the last commit."""
    return run("git", "-c", f"safe.directory={ROOT}", "status", "--porcelain", "--ignored", "--", ":!.cache", cwd=ROOT)

# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compartments: children, the whole tree, access, names, pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.support.oci_endpoint import Endpoint
from tests.support.oci_http import Client

BASE = "/20160918"


def _all(client: Client, target: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    page = ""
    while True:
        answer = client("GET", target + (f"&page={quote(page)}" if page else ""))
        assert answer.status == 200, answer.content
        assert len(answer.json) <= 3
        items += answer.json
        page = answer.headers.get("opc-next-page", "")
        if not page:
            return items


def test_compartments(client: Client, endpoint: Endpoint) -> None:
    images = endpoint.add_compartment("team/images")
    for path in ("a", "b", "c", "team/a", "team/images/old"):
        endpoint.add_compartment(path)
    hidden = endpoint.identity.add_compartment("hidden", accessible=False)
    deleted = endpoint.identity.add_compartment("gone", state="DELETED")
    root = f"{BASE}/compartments?compartmentId={endpoint.tenancy}"
    assert {item["name"] for item in _all(client, root)} == {"a", "b", "c", "team", "hidden", "gone"}
    assert {item["name"] for item in _all(client, root + "&lifecycleState=DELETED")} == {"gone"}
    assert len(_all(client, root + "&compartmentIdInSubtree=true")) == 9
    accessible = _all(client, root + "&compartmentIdInSubtree=true&accessLevel=ACCESSIBLE")
    assert hidden not in [item["id"] for item in accessible]
    same_name = _all(client, root + "&compartmentIdInSubtree=true&name=a")
    assert len(same_name) == 2
    team = same_name[0]["compartmentId"] if same_name[0]["compartmentId"] != endpoint.tenancy else same_name[1]["compartmentId"]
    assert {item["name"] for item in _all(client, f"{BASE}/compartments?compartmentId={team}")} == {"a", "images"}
    below = client("GET", f"{BASE}/compartments?compartmentId={team}&compartmentIdInSubtree=true")
    assert below.error == (400, "InvalidParameter")
    assert client("GET", f"{BASE}/compartments/{images}").json["name"] == "images"
    assert client("GET", f"{BASE}/compartments/{hidden}").error == (404, "NotAuthorizedOrNotFound")
    assert client("POST", client.path, {"name": "b", "compartmentId": deleted}).error == (404, "NotAuthorizedOrNotFound")


def test_compartments_of_nobody(client: Client) -> None:
    assert client("GET", f"{BASE}/compartments").error == (400, "MissingParameter")
    unknown = "ocid1.compartment.oc1..none"
    assert client("GET", f"{BASE}/compartments?compartmentId={unknown}").error == (404, "NotAuthorizedOrNotFound")
    assert client("GET", f"{BASE}/images?compartmentId={unknown}").error == (404, "NotAuthorizedOrNotFound")


def test_bad_pages(client: Client, endpoint: Endpoint) -> None:
    root = f"{BASE}/compartments?compartmentId={endpoint.tenancy}"
    for bad in ("&page=nonsense", "&limit=0", "&limit=1001", "&limit=x"):
        assert client("GET", root + bad).error == (400, "InvalidParameter")


def test_the_last_page_has_no_successor(client: Client, endpoint: Endpoint) -> None:
    endpoint.add_compartment("a")
    everything = f"{BASE}/compartments?compartmentId={endpoint.tenancy}&compartmentIdInSubtree=true"
    count = len(_all(client, everything))
    assert "opc-next-page" not in client("GET", f"{everything}&limit={count}").headers


def test_unknown_operations(client: Client) -> None:
    assert client("GET", f"{BASE}/instances").error == (404, "NotFound")
    assert client("POST", f"{BASE}/shapes", {}).error == (405, "MethodNotAllowed")

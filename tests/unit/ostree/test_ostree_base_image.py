# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Base images: what is read from their layers, and what nginx's configuration says."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import read_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import image_files
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.image_files import Folder, ImageFiles, read_files
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.nginx_configuration import Site, read_site
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.web_server import WebServer, find_web_server
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.progress import silent
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.tarstream import TarStream

from tests.support.nginx_image import MAIN_CONFIGURATION, SITE_CONFIGURATION, Files, write_image

# As nginx.org's image and its unprivileged variant have them.
OFFICIAL: Files = {
    "etc/nginx/nginx.conf": MAIN_CONFIGURATION.encode(),
    "etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=80, root="/usr/share/nginx/html").encode(),
    "usr/share/nginx/html/index.html": b"",
}
UNPRIVILEGED: Files = {
    **OFFICIAL,
    "etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=8080, root="/usr/share/nginx/html").encode(),
}
# As Debian's package has it.
DEBIAN: Files = {
    "etc/nginx/nginx.conf": b"user www-data;\nhttp {\n\tinclude /etc/nginx/conf.d/*.conf;\n\tinclude /etc/nginx/sites-enabled/*;\n}\n",
    "etc/nginx/sites-enabled/default": "/etc/nginx/sites-available/default",
    "etc/nginx/sites-available/default": b"server {\n listen 80 default_server;\n listen [::]:80 default_server;\n root /var/www/html;\n"
    b" location / {\n  try_files $uri $uri/ =404;\n }\n}\n",
    "var/www/html/index.html": b"",
}
# As the package of Fedora and Oracle Linux has it.
ORACLE_LINUX: Files = {
    "etc/nginx/nginx.conf": b"http {\n log_format main '$remote_addr - \"$request\" ' '{$status}';\n server {\n listen 80;\n"
    b" server_name _;\n root /usr/share/nginx/html;\n include /etc/nginx/default.d/*.conf;\n location / {\n }\n }\n}\n",
    "usr/share/nginx/html/index.html": b"",
}
# nginx built from its sources.
BUILT: Files = {
    "usr/local/nginx/conf/nginx.conf": b"http { server { listen 80; location / { root html; index index.html; } } }",
    "usr/local/nginx/html/index.html": b"",
}


def _image(folder: Path, *layers: Files, **options: Any) -> Any:
    write_image(folder / "base", layers, **options)
    return read_image(folder / "base", folder / "base/blobs")


def _server(folder: Path, *layers: Files, document_root: str = "", **options: Any) -> WebServer:
    image = _image(folder, *layers, **options)
    return find_web_server(image, read_files(image, silent), document_root)


@pytest.mark.parametrize(
    ("files", "root", "port"),
    [
        (OFFICIAL, "/usr/share/nginx/html", 80),
        (UNPRIVILEGED, "/usr/share/nginx/html", 8080),
        (DEBIAN, "/var/www/html", 80),
        (ORACLE_LINUX, "/usr/share/nginx/html", 80),
        (BUILT, "/usr/local/nginx/html", 80),
    ],
    ids=["official", "unprivileged", "debian", "oracle-linux", "built"],
)
@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_usual_images_tell_where_they_serve(tmp_path: Path, files: Files, root: str, port: int, docker: bool) -> None:
    server = _server(tmp_path, files, docker=docker)
    assert (server.document_root, server.port) == (root, port)
    assert [path for path, _folder in server.folders][-1] == root


def test_a_later_layer_counts(tmp_path: Path) -> None:
    moved: Files = {"etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=81, root="/srv/www").encode()}
    server = _server(tmp_path, OFFICIAL, moved)
    assert (server.document_root, server.port) == ("/srv/www", 81)


def test_what_a_later_layer_removes_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has no nginx"):
        _server(tmp_path, OFFICIAL, {"etc/nginx/.wh.nginx.conf": b""})
    other: Files = {"etc/nginx/conf.d/.wh..wh..opq": b"", "etc/nginx/conf.d/site.conf": b"server { listen 82; root /a; }"}
    (tmp_path / "other").mkdir()
    assert _server(tmp_path / "other", OFFICIAL, other).port == 82


def test_a_document_root_that_is_a_symlink_is_followed(tmp_path: Path) -> None:
    files = {name: content for name, content in OFFICIAL.items() if "html/" not in name}
    server = _server(tmp_path, {**files, "usr/share/nginx/html": "../../../srv/html", "srv/html/index.html": b""})
    assert server.document_root == "/srv/html"


def test_folders_keep_the_base_images_modes(tmp_path: Path) -> None:
    server = _server(tmp_path, OFFICIAL)
    assert server.folders == tuple(
        (path, Folder(0o755, 0, 0)) for path in ("/usr", "/usr/share", "/usr/share/nginx", "/usr/share/nginx/html")
    )


def test_the_user_has_the_last_word(tmp_path: Path) -> None:
    assert _server(tmp_path, OFFICIAL, document_root="/srv/x").document_root == "/srv/x"


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        (({"etc/issue": b"x"},), {}, "has no nginx: there is none of /etc/nginx/nginx.conf"),
        ((OFFICIAL,), {"run": {"Cmd": None}}, "does not say what to run"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"server { root /srv/$host; }"}), {}, "only nginx itself can tell"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"server { root"}), {}, "ends in the middle of a directive"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"server { root 'x; }"}), {}, "a quote that does not end"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"}"}), {}, "where none belongs"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"{"}), {}, "where a directive belongs"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"include conf.d/*.conf;"}), {}, "included too deeply"),
        ((OFFICIAL, {"etc/nginx/conf.d/default.conf": b"a {" * 40 + b"}" * 40}), {}, "blocks in blocks without end"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, layers: tuple[Files, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        _server(tmp_path, *layers, **options)


def _site(text: str) -> Site:
    files = ImageFiles()
    files._add("/etc/nginx/nginx.conf", text.encode())
    return read_site(files, "/etc/nginx/nginx.conf", "/ostree/config")


@pytest.mark.parametrize(
    ("text", "root", "port"),
    [
        ("", "", 80),
        ("http { root /a; }", "/a", 80),
        ("http { server { } }", "", 80),
        ("http { server { listen 443 ssl; root /tls; } server { listen 127.0.0.1:8081; root /a; } }", "/a", 8081),
        ("http { server { listen 80; root /a; } server { listen [::]:82 default_server; root /b; } }", "/b", 82),
        ("http { server { listen unix:/run/x; listen localhost; root '/with space'; } }", "/with space", 80),
        ('http { server { root "/a"; location /ostree { root /b; } location / { root /c; } } }', "/b", 80),
        ("http { server { root /a; location = / { root /b; } location ~ x$ { root /c; } # location / { root /d; }\n } }", "/a", 80),
        ("http { server { location ^~ / { root /a; } } }", "/a", 80),
    ],
)
def test_nginx_configuration_says(text: str, root: str, port: int) -> None:
    assert _site(text) == Site(root, port)


def test_paths_that_climb_stay_in_the_image() -> None:
    files = ImageFiles()
    files._add("/a/link", "../../../../etc")
    files._add("/a/loop", "loop")
    assert files.resolve("/../../a/./link/../x") == "/x"
    assert files.resolve("/a/link/passwd") == "/etc/passwd"
    assert files.resolve("/a/loop") == "/a/loop"
    assert files.read("/a/loop") is None


def test_a_file_in_place_of_a_folder_hides_what_was_in_it() -> None:
    files = ImageFiles()
    files._add("/etc/nginx/nginx.conf", b"x")
    files._add("/etc/nginx", Folder(0o755, 0, 0))
    assert files.names("/etc/nginx") == ["nginx.conf"]
    files._add("/etc/nginx", "elsewhere")
    assert files.read("/etc/nginx/nginx.conf") is None


def test_what_is_held_of_an_image_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "_TOTAL_LIMIT", 100)
    with pytest.raises(BuildError, match="more than 100 bytes of paths and configuration"):
        _server(tmp_path, OFFICIAL)
    monkeypatch.undo()
    monkeypatch.setattr(image_files, "_COUNT_LIMIT", 10)
    (tmp_path / "other").mkdir()
    with pytest.raises(BuildError, match="more than 10 files"):
        _server(tmp_path / "other", OFFICIAL)


@pytest.mark.parametrize(
    "paths",
    [
        [f"{number}/" + "d/" * 2000 + "file" for number in range(20)],
        [f"{number:05}" + "x" * 4000 for number in range(9000)],
    ],
    ids=["deep folders", "long names"],
)
def test_what_paths_take_is_bounded(paths: list[str]) -> None:
    with pytest.raises(BuildError, match="more than 33554432 bytes of paths and configuration"):
        ImageFiles().add_layer(_stream(*(_member(path) for path in paths)))


def test_symlinks_targets_are_bounded() -> None:
    links = (_member(str(number), type=tarfile.SYMTYPE, linkname="t" * 4000) for number in range(9000))
    with pytest.raises(BuildError, match="bytes of paths and configuration"):
        ImageFiles().add_layer(_stream(*links))


def test_a_folder_goes_however_deep_it_is() -> None:
    files = ImageFiles()
    files.add_layer(_stream(_member("d/" * 2000 + "file")))
    files.add_layer(_stream(_member(".wh.d")))
    assert files.names("/") == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [("include {following};", "includes more than 8388608 bytes"), ("include nginx.conf;", "is included too deeply")],
)
def test_files_that_include_each_other_do_not_take_forever(lines: str, said: str) -> None:
    files = ImageFiles()
    names = ["nginx.conf", *(f"{number}.conf" for number in range(18))]
    for name, following in zip(names, [*names[1:], "none"]):
        files._add(f"/etc/nginx/{name}", (lines.format(following=following) * 5).encode())
    with pytest.raises(ValueError, match=said):
        read_site(files, "/etc/nginx/nginx.conf", "/ostree/config")


def test_a_document_root_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"document root in base image .* is '/.\\udcff', which is no text"):
        _server(tmp_path, OFFICIAL, {"usr/share/nginx/html": "/x\udcff"})


def _member(name: str, **attributes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def _stream(*members: tarfile.TarInfo) -> TarStream:
    return TarStream(io.BytesIO(b"".join(member.tobuf(tarfile.GNU_FORMAT) for member in members) + bytes(1024)), "layer x")

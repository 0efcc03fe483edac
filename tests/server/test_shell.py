"""The page's files: those of the package and no others, each of its type, known by its content."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.server import shell
from mlx_aimv2.server.app import make_app
from mlx_aimv2.server.service import Service

STATIC = shell.STATIC


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with Service(tmp_path_factory.mktemp("shell") / "library.db") as service:
        yield TestClient(make_app(service))


def files() -> list[str]:
    names = (path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
    return sorted(names)


def test_the_page(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == (STATIC / "index.html").read_bytes()
    assert client.head("/").status_code == 200


@pytest.mark.parametrize("name", files())
def test_each_file_has_its_type_or_is_not_served(name: str, client: TestClient) -> None:
    answer = client.get(f"/static/{name}")
    kind = shell.TYPES.get(Path(name).suffix)
    if kind is None:
        assert answer.status_code == 404
        assert Path(name).suffix in {".md", ".LICENSE"}
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content == (STATIC / name).read_bytes()


def test_licences_stand_beside_what_others_wrote() -> None:
    assert {"vendor/preact.LICENSE", "vendor/htm.LICENSE"} <= set(files())


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "..%5capp.py", "./main.js",
        "/etc/passwd", "%2fetc%2fpasswd", "vendor", "vendor/", "vendor/../main.js", "main.js/",
        "main.js%00", "main.js%00.html", "MAIN.JS", "%ff%fe", "main.js.", "~root", "a" * 3000,
        f"{'a' * 300}.js",
        "a" * 5000, "//main.js", "style/*.css", "index.html?x=../../app.py/..",
    ],
)  # fmt: skip
def test_no_name_leads_elsewhere(name: str, client: TestClient) -> None:
    answer = client.get(f"/static/{name}")
    # A browser takes out the dots itself: what is found then is that very file.
    own = {(STATIC / each).read_bytes() for each in files()}
    assert answer.status_code == 404 or answer.content in own
    assert b"def " not in answer.content and b"root:" not in answer.content


def test_what_is_no_file_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: TestClient
) -> None:
    monkeypatch.setattr(shell, "STATIC", tmp_path)
    (tmp_path / "loop.js").symlink_to("loop.js")
    (tmp_path / "nowhere.js").symlink_to("nothing.js")
    (tmp_path / "folder.js").mkdir()
    for name in ("loop.js", "nowhere.js", "folder.js"):
        assert client.get(f"/static/{name}").status_code == 404


def test_a_file_that_is_known_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/static/main.js")
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}'):
        again = client.get("/static/main.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/static/main.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_file_that_changed_is_sent_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: TestClient
) -> None:
    monkeypatch.setattr(shell, "STATIC", tmp_path)
    (tmp_path / "a.css").write_text("a{}")
    tag = client.get("/static/a.css").headers["etag"]
    (tmp_path / "a.css").write_text("b{}")
    assert client.get("/static/a.css", headers={"If-None-Match": tag}).text == "b{}"


def test_the_shell_brings_nothing_that_its_policy_refuses() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "<style" not in page and " style=" not in page and " on" + "click=" not in page
    for line in page.splitlines():
        assert "<script" not in line or ' src="/static/' in line
        assert "//" not in line.replace("<!--", "").partition("http")[2]


def test_what_is_nowhere_is_told_in_json(client: TestClient) -> None:
    for method, path, code in (("GET", "/nowhere", 404), ("GET", "/api/nowhere", 404),
                               ("POST", "/", 405), ("GET", "/static", 404)):  # fmt: skip
        answer = client.request(method, path, follow_redirects=False)
        assert answer.status_code == code
        assert set(answer.json()) == {"error", "message", "hint"}

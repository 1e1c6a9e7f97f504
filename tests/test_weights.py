"""Published weights: fetched once, whole or not at all, never the wrong ones; and one line where they cannot be had."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standins import Ear

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, WeightsProblem
from imgcollapse.extractors import weights
from imgcollapse.extractors.weights import Published, find
from imgcollapse.machine import devices

CONTENT = bytes(range(256)) * 9000  # 2.3 MB: more than one block


@dataclass
class Server:
    """A web server on this machine that answers every request in the same way, and counts them."""

    published: Published
    asked: int = 0
    status: int = 200
    body: bytes = CONTENT
    says: int = len(CONTENT)
    pause: float = 0.0
    cut_off: bool = False


@pytest.fixture
def server() -> Iterator[Server]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked += 1
            self.send_response(here.status)
            self.send_header("Content-Length", str(here.says))
            self.end_headers()
            time.sleep(here.pause)
            try:
                self.wfile.write(here.body)
            except ConnectionError:
                here.cut_off = True

        def log_message(self, *arguments: object) -> None: ...

    web = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    url = f"http://127.0.0.1:{web.server_port}/net.pt"
    here = Server(Published("inception", "net.pt", url, len(CONTENT), hashlib.sha256(CONTENT).hexdigest()))
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    yield here
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with devices.use(devices.Machine(data_dir=tmp_path / "data")):
        yield tmp_path / "data" / "weights"


def using(file: Path, function: Callable[[Published], Any]) -> Callable[[Published], Any]:
    """The function on a machine whose user has named this file."""

    def call(published: Published) -> Any:
        with devices.use(replace(devices.current(), weights={published.kind: file})):
            return function(published)

    return call


def left(folder: Path) -> set[str]:
    """What lies in the folder, but for locks."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_it_is_fetched_once_and_said_once(server: Server, data: Path) -> None:
    with progress.watched_by(heard := Ear()):
        first = find(server.published)
        again = find(server.published)
    assert first == again == weights.Weights(data / "net.pt", server.published.sha256, True)
    assert first.path.read_bytes() == CONTENT and left(data) == {"net.pt"} and server.asked == 1
    assert heard.lines == [f"inception: fetching {server.published.url} (2 MB) into {data}"]


def test_what_is_there_already_needs_no_server(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "net.pt").write_bytes(CONTENT)
    nowhere = Published("inception", "net.pt", "http://127.0.0.1:1/net.pt", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert find(nowhere).published


def test_several_at_once_fetch_it_once(server: Server, data: Path) -> None:
    server.pause = 0.2

    def one(_: int) -> bytes:
        with devices.use(devices.Machine(data_dir=data.parent)):
            return find(server.published).path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert all(content == CONTENT for content in pool.map(one, range(4)))
    assert server.asked == 1


def test_what_a_killed_download_left_goes_at_the_next_one(server: Server, data: Path) -> None:
    data.mkdir(parents=True)
    (data / f".imgcollapse-{'0' * 16}.part").write_bytes(CONTENT[:1000])
    (data / "mine.part").write_bytes(b"the only copy")
    assert find(server.published).published and left(data) == {"net.pt", "mine.part"}


def changed(server: Server, **values: object) -> None:
    for name, value in values.items():
        setattr(server, name, value)


SPOILT: dict[str, Callable[[Server], None]] = {
    "0 bytes came": lambda server: changed(server, body=b"", says=0),
    f"{len(CONTENT) // 2:,} bytes came and not the published {len(CONTENT):,}": lambda server: changed(
        server, body=CONTENT[: len(CONTENT) // 2]
    ),
    f"{len(CONTENT):,} bytes came": lambda server: changed(server, body=CONTENT[:-1] + b"!"),
    "more came": lambda server: changed(server, body=CONTENT * 20, says=20 * len(CONTENT)),
    "44 bytes came": lambda server: changed(server, body=b"<html><body>Please log in first</body></html>"[:44], says=44),
    "Not Found": lambda server: changed(server, status=404, body=b"no", says=2),  # short: nobody reads it
    "timed out": lambda server: changed(server, pause=0.6, body=b""),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_anything_but_the_published_file_is_never_kept(server: Server, data: Path, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "TIMEOUT", 0.3)
    SPOILT[reason](server)
    with pytest.raises(WeightsProblem) as caught:
        find(server.published)
    line = str(caught.value)
    assert line.startswith("inception: the weights are not there and cannot be fetched (") and reason in line
    assert line.endswith(f"); put net.pt into {data}, or give --inception-weights PATH") and "\n" not in line
    assert left(data) == set()
    until = time.monotonic() + 10
    while reason == "more came" and not server.cut_off and time.monotonic() < until:  # what is too long is not read to its end
        time.sleep(0.01)
    assert server.cut_off == (reason == "more came")
    changed(server, status=200, body=CONTENT, says=len(CONTENT), pause=0.0)
    assert find(server.published).path.read_bytes() == CONTENT


def test_without_a_server_it_takes_no_time(data: Path) -> None:
    began = time.monotonic()
    with pytest.raises(WeightsProblem, match=r"the weights are not there and cannot be fetched .*refused"):
        find(Published("dinov2", "net.pt", "http://127.0.0.1:1/net.pt", 3, "0"))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("damage", ["a flipped bit", "cut"])
def test_damage_is_found_and_fetched_again_or_said(server: Server, data: Path, damage: str) -> None:
    path = find(server.published).path
    path.write_bytes(CONTENT[:-1] + b"!" if damage == "a flipped bit" else CONTENT[:100])
    absent = replace(server.published, url="http://127.0.0.1:1/net.pt")
    assert weights.state(absent) == f"damaged: the next use fetches it again ({path})"
    with pytest.raises(WeightsProblem, match=r"net\.pt is damaged and cannot be fetched again"):
        find(absent)
    assert find(server.published).path.read_bytes() == CONTENT and server.asked == 2


def test_a_file_of_the_users_own_is_taken_as_it_is_and_known_by_its_digest(server: Server, tmp_path: Path) -> None:
    (tmp_path / "other.pt").write_bytes(b"other")
    other = using(tmp_path / "other.pt", find)(server.published)
    assert other == weights.Weights(tmp_path / "other.pt", hashlib.sha256(b"other").hexdigest(), False)
    (tmp_path / "copy.pt").write_bytes(CONTENT)
    assert using(tmp_path / "copy.pt", find)(server.published).published and server.asked == 0
    with pytest.raises(SettingsProblem, match=r"^--inception-weights: nowhere\.pt: there is no such file; name a file, or leave"):
        using(Path("nowhere.pt"), find)(server.published)


def test_the_state_in_words(server: Server, data: Path, tmp_path: Path) -> None:
    assert weights.state(server.published) == f"not there: the first use fetches 2 MB, or put net.pt into {data}"
    assert using(Path("no.pt"), weights.state)(server.published) == "not there: give another --inception-weights (no.pt)"
    path = find(server.published).path
    assert weights.state(server.published) == f"there, verified ({path})"
    (tmp_path / "other.pt").write_bytes(b"other")
    assert (
        using(tmp_path / "other.pt", weights.state)(server.published) == f"other weights than the published ones ({tmp_path / 'other.pt'})"
    )

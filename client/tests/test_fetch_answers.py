"""What servers answer instead of an artifact, and what the user is told; files and pipes."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_http import (
    CONTENT,
    Handler,
    Patience,
    Reading,
    Site,
    Waiting,
    after,
    dropping,
    listening,
    saying,
    send_head,
)

from bistable.client.errors import ConfigError, FetchError, UsageError
from bistable.client.fetch import FetchSettings, LinkRefusedError, TransientFetchError, open_artifact

WHEN_LONG_AGO = "Thu, 01 Jan 1970 00:01:40 GMT"


@pytest.fixture
def site() -> Iterator[Site]:
    with listening() as found:
        yield found


def read_all(site: Site, waiting: Waiting | None = None, **more: object) -> bytes:
    with open_artifact(site.url, (waiting or Waiting()).settings(**more)) as source:
        return bytes(Reading().take(source).data)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410])
def test_a_refusal_is_told_from_other_failures_and_not_tried_again(site: Site, status: int) -> None:
    site.answers = [saying(status)]
    with pytest.raises(LinkRefusedError, match=f"cannot fetch {site.url}: the server answered {status}") as caught:
        read_all(site)
    assert caught.value.hint
    assert len(site.asked) == 1


def test_a_signed_link_that_runs_out_in_between_is_told(site: Site) -> None:
    site.answers = [dropping(700_000), saying(403)]
    with pytest.raises(LinkRefusedError) as caught:
        read_all(site)
    assert "has run out" in (caught.value.hint or "")


@pytest.mark.parametrize("status", [400, 405, 418])
def test_other_refusals_are_final(site: Site, status: int) -> None:
    site.answers = [saying(status)]
    with pytest.raises(FetchError, match=str(status)) as caught:
        read_all(site)
    assert not isinstance(caught.value, TransientFetchError | LinkRefusedError)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
def test_what_may_pass_is_tried_again(site: Site, status: int) -> None:
    site.answers = [saying(status)]
    assert read_all(site) == CONTENT


def test_attempts_without_progress_are_counted_and_end(site: Site) -> None:
    site.answers = [saying(500)] * 20
    with pytest.raises(TransientFetchError, match="500") as caught:
        read_all(site, retries=3)
    assert caught.value.hint == "given up after 3 more attempts"
    assert len(site.asked) == 4


def test_a_server_that_gives_a_byte_at_a_time_is_given_up(site: Site) -> None:
    site.answers = [dropping(cut) for cut in range(1, 30)]
    with pytest.raises(TransientFetchError, match="the connection ended early"):
        read_all(site)
    assert len(site.asked) == 11


def test_progress_starts_the_count_again(site: Site) -> None:
    site.answers = [dropping(cut) for cut in range(70_000, len(CONTENT), 70_000)]
    assert read_all(site, retries=1) == CONTENT


def test_a_web_page_is_recognized_by_its_type(site: Site) -> None:
    site.answers = [saying(200, b"Welcome", Content_Type="Text/HTML; charset=utf-8")]
    with pytest.raises(TransientFetchError, match="is a web page, not an artifact: is this a captive portal"):
        read_all(site)


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>", b"\xef\xbb\xbf\r\n <html>", b"<?xml version='1.0'?>"])
def test_a_web_page_is_recognized_by_its_first_bytes(site: Site, body: bytes) -> None:
    site.answers = [saying(200, body, Content_Type="application/octet-stream")]
    with pytest.raises(TransientFetchError, match="web page"):
        read_all(site)


def test_a_web_page_in_the_midst_of_a_download_is_waited_out(site: Site) -> None:
    portal = saying(200, b"<html>", Content_Type="text/html")
    site.answers = [dropping(700_000), portal, portal]
    assert read_all(site) == CONTENT


def test_a_body_whose_end_cannot_be_told_is_refused(site: Site) -> None:
    def endless(handler: Handler, site: Site) -> None:
        send_head(handler, 200, {})
        handler.wfile.write(site.content)

    site.answers = [endless]
    with pytest.raises(FetchError, match="does not say how long it is") as caught:
        read_all(site)
    assert caught.value.hint == "have the server send Content-Length"


def test_an_empty_body_is_empty(site: Site) -> None:
    site.content = b""
    assert read_all(site) == b""


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_an_encoded_body_is_refused(site: Site, encoding: str) -> None:
    site.answers = [saying(200, Content_Encoding=encoding)]
    with pytest.raises(FetchError, match=f"encoded with '{encoding}'"):
        read_all(site)


def test_an_answer_that_is_not_http_is_told_in_words(site: Site) -> None:
    def other(handler: Handler, _site: Site) -> None:
        handler.wfile.write(b"SSH-2.0-\x1b[31m\r\n")

    site.answers = [other] * 5
    with pytest.raises(TransientFetchError, match="not HTTP as it should be") as caught:
        read_all(site, retries=2)
    assert caught.value.what.isprintable()


def test_a_closed_port_is_tried_again_as_the_server_may_be_starting() -> None:
    with listening() as gone:
        pass
    waiting = Waiting()
    with pytest.raises(TransientFetchError, match="connection refused"):
        read_all(gone, waiting, retries=2)
    assert waiting.announced == [1.0, 2.0]


@pytest.mark.parametrize("name", ["http://", "ftp://127.0.0.1/a", "http://a..b/", "https://h:99999/"])
def test_what_is_no_address_is_refused(name: str) -> None:
    with pytest.raises(UsageError), open_artifact(name, Waiting().settings()):
        pass


# --- redirects


def test_a_redirect_is_followed_anew_for_every_continuation(site: Site) -> None:
    moved = saying(307, Location="/signed?until=now")
    site.answers = [moved, dropping(700_000), moved]
    assert read_all(site) == CONTENT
    assert [asked[":path"] for asked in site.asked][2:] == ["/a.mender", "/signed?until=now"]
    assert site.ranges[3] is not None


def test_secrets_do_not_go_to_another_host(site: Site) -> None:
    with listening() as other:
        site.answers = [saying(302, Location="/here"), saying(302, Location=other.url)]
        headers = {"Authorization": "Bearer token", "X-Key": "secret"}
        assert read_all(site, headers=headers) == CONTENT
        assert [(asked.get("authorization"), asked.get("x-key")) for asked in site.asked] == [
            ("Bearer token", "secret")
        ] * 2
        assert not {"authorization", "x-key"} & set(other.asked[0])


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/passwd", "http://[::1/", "http://a..b/"])
def test_a_redirect_to_what_cannot_be_fetched_is_refused(site: Site, target: str) -> None:
    site.answers = [saying(302, Location=target)]
    with pytest.raises(FetchError, match="redirect"):
        read_all(site, retries=0)


def test_endless_redirects_are_refused(site: Site) -> None:
    site.answers = [saying(302, Location="/a.mender")] * 50
    with pytest.raises(FetchError, match="redirects without end"):
        read_all(site)


@pytest.mark.parametrize(
    "headers", [{"Range": "bytes=0-"}, {"a b": "c"}, {"A": "b\r\nC: d"}, {"": "x"}, {"Host": "other"}, {"A": "ä"}]
)
def test_header_fields_that_would_break_the_question_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="header field"):
        FetchSettings(headers=headers)


# --- waits


def test_waits_double_up_to_a_limit_and_are_announced(site: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(503)] * 9
    assert read_all(site, waiting) == CONTENT
    assert waiting.announced == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert sum(waiting.seconds) == sum(waiting.announced)
    assert waiting.whys[0] == "the server answered 503 (Service Unavailable)"


def test_a_random_share_is_taken_off_a_wait(site: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(503)]
    read_all(site, waiting, jitter=lambda: 0.0)
    assert waiting.announced == [0.5]


def test_the_wait_that_a_server_asks_for_is_kept(site: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(429, Retry_After="17"), saying(503, Retry_After="Thu, 01 Jan 1970 00:01:40 GMT")]
    read_all(site, waiting, now=lambda: 80.0)
    assert waiting.announced == [17.0, 20.0]


@pytest.mark.parametrize(
    "text", ["soon", "-5", "1e9", "Thu, 99 Jan 1970 00:01:40 GMT", "Thu, 01 Jan 1970 00:01:40 GMT"]
)
def test_a_senseless_wait_is_ignored(site: Site, text: str) -> None:
    waiting = Waiting()
    site.answers = [saying(503, Retry_After=text)]
    read_all(site, waiting)
    assert waiting.announced == [1.0]


def test_a_long_wait_is_left_to_the_caller(site: Site) -> None:
    site.answers = [saying(503, Retry_After="86400")]
    with pytest.raises(TransientFetchError, match="503") as caught:
        read_all(site)
    assert caught.value.hint == "the server asks to come back in 86400 s"
    assert caught.value.retry_after == 86400


def test_another_server_is_asked_while_one_wants_to_be_left_alone(site: Site) -> None:
    waiting = Waiting()
    with listening() as mirror:
        site.answers = [saying(503, Retry_After="200")]
        mirror.answers = [saying(500)] * 3
        with open_artifact(site.url, waiting.settings(), mirrors=[mirror.url]) as source:
            assert source.name == mirror.url
    assert waiting.announced == [1.0, 2.0, 4.0]
    assert len(site.asked) == 1


def test_an_abort_ends_a_wait(site: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(503, Retry_After="250")]
    with pytest.raises(Patience):
        read_all(site, waiting, check=after(10))
    assert 0 < sum(waiting.seconds) <= 5


def test_an_abort_ends_reading_within_a_piece(site: Site) -> None:
    reading = Reading()
    with pytest.raises(Patience), open_artifact(site.url, Waiting().settings(check=after(20))) as source:
        reading.take(source, size=1000)
    assert 0 < len(reading.data) <= 20_000


def test_a_rate_is_kept(site: Site) -> None:
    waiting = Waiting()
    assert read_all(site, waiting, rate_limit=100_000) == CONTENT
    assert sum(waiting.seconds) == pytest.approx(len(CONTENT) / 100_000, abs=1.1)
    assert max(waiting.seconds) <= 0.5


def test_a_pause_of_the_reader_saves_up_one_second_at_most(site: Site) -> None:
    waiting = Waiting()
    with open_artifact(site.url, waiting.settings(rate_limit=100_000)) as source:
        waiting.time += 3600
        Reading().take(source, limit=300_000)
    assert sum(waiting.seconds) == pytest.approx(2.0, abs=0.1)


def test_an_abort_ends_a_wait_for_the_rate(site: Site) -> None:
    waiting = Waiting()
    with pytest.raises(Patience):
        read_all(site, waiting, rate_limit=1, check=after(20))


# --- files and pipes


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mender"
    path.write_bytes(CONTENT)
    with open_artifact(str(path), Waiting().settings()) as source:
        assert (source.size, source.name) == (len(CONTENT), str(path))
        assert Reading().take(source).data == CONTENT


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    with open_artifact("-", Waiting().settings()) as source:
        assert (source.size, source.name, source.read(100)) == (None, "standard input", b"piped")


def test_a_missing_file_is_an_error_of_fetching(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no such file"), open_artifact(str(tmp_path / "a"), FetchSettings()):
        pass


def test_a_failure_while_reading_a_file_is_an_error_of_fetching() -> None:
    with (
        open_artifact("/proc/self/mem", FetchSettings()) as source,
        pytest.raises(FetchError, match="cannot read /proc"),
    ):
        source.read(10)


def test_an_abort_ends_the_reading_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mender"
    path.write_bytes(CONTENT)
    with open_artifact(str(path), Waiting().settings(check=after(2))) as source:
        source.read(1)
        with pytest.raises(Patience):
            source.read(1)


def test_a_file_has_no_mirrors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mirrors"), open_artifact("a", FetchSettings(), mirrors=["http://h/"]):
        pass


# --- start-up


def test_nothing_heavy_is_loaded_before_an_address_is_opened() -> None:
    code = "import sys, bistable.client.fetch; print({'ssl', 'http.client', 'urllib.request'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"

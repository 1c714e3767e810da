"""Reading an address: broken connections are continued, changed files and lying servers are refused."""

import gc
import threading
from pathlib import Path

import pytest
from http_site import (
    CONTENT,
    WHEN,
    Handler,
    Site,
    Waiting,
    dropping,
    listening,
    range_of,
    read_all,
    saying,
    send_head,
    serve,
    site,
    validators,
    whole,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bistable.artifact import Policy, read_artifact
from bistable.artifact.errors import MachineError
from bistable.artifact.keys import read_verifiers
from bistable.artifact.source import HttpSettings, SourceNotFoundError, open_source

__all__ = ["site"]


def test_a_body_is_read_whole(site: Site) -> None:
    assert read_all(site) == CONTENT
    assert site.asked[0]["accept-encoding"] == "identity"


def test_the_size_is_known_before_the_first_byte(site: Site) -> None:
    with open_source(site.url) as source:
        assert source.size == len(CONTENT)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(CONTENT) - 1), max_size=4))
def test_a_connection_lost_at_any_byte_is_continued_there(site: Site, cuts: list[int]) -> None:
    site.asked.clear()
    site.answers = [dropping(cut) for cut in sorted(cuts)]
    assert read_all(site) == CONTENT
    assert not site.answers


def test_a_continuation_asks_for_the_rest_of_the_same_body(site: Site) -> None:
    site.answers = [dropping(700)]
    read_all(site)
    assert (site.asked[1]["range"], site.asked[1]["if-range"]) == ("bytes=700-", '"one"')


def test_a_weak_tag_is_not_used_as_a_condition(site: Site) -> None:
    site.etag, site.modified = 'W/"one"', WHEN
    site.answers = [dropping(700)]
    assert read_all(site) == CONTENT
    assert site.asked[1]["if-range"] == WHEN


def test_a_body_without_any_validator_is_continued(site: Site) -> None:
    site.etag = None
    site.answers = [dropping(700)]
    assert read_all(site) == CONTENT
    assert "if-range" not in site.asked[1]


def test_a_changed_tag_is_refused(site: Site) -> None:
    def change(handler: Handler, site: Site) -> None:
        serve(handler, site, until=700)
        site.etag = '"two"'

    site.answers = [change]
    with pytest.raises(MachineError, match="changed while it was read"):
        read_all(site)


def test_a_changed_tag_is_refused_even_where_the_server_ignores_the_condition(site: Site) -> None:
    def lie(handler: Handler, site: Site) -> None:
        site.etag = '"two"'
        handler.headers.replace_header("If-Range", '"two"')
        serve(handler, site)

    site.answers = [dropping(700), lie]
    with pytest.raises(MachineError, match="changed while it was read"):
        read_all(site)


def test_a_changed_length_is_refused(site: Site) -> None:
    def grow(handler: Handler, site: Site) -> None:
        site.content += b"more"
        serve(handler, site)

    site.answers = [dropping(700), grow]
    with pytest.raises(MachineError, match="changed while it was read"):
        read_all(site)


def test_a_file_that_became_shorter_than_what_was_read_is_refused(site: Site) -> None:
    site.answers = [dropping(700), saying(416)]
    with pytest.raises(MachineError, match="changed while it was read"):
        read_all(site)


def test_a_server_without_ranges_is_named_as_the_reason(site: Site) -> None:
    site.answers = [dropping(700), whole]
    with pytest.raises(MachineError, match="cannot continue there") as caught:
        read_all(site)
    assert caught.value.hint == "download the file first, then name it"


def test_a_whole_body_of_another_length_is_named_a_change(site: Site) -> None:
    def grow(handler: Handler, site: Site) -> None:
        site.content += b"more"
        whole(handler, site)

    site.etag = None
    site.answers = [dropping(700), grow]
    with pytest.raises(MachineError, match="changed while it was read"):
        read_all(site)


@pytest.mark.parametrize("text", ["bytes 0-9/2048", "bytes 701-710/2048", "bytes 700-709", "lines 700-709/2048", ""])
def test_another_range_than_the_one_asked_for_is_refused(site: Site, text: str) -> None:
    site.answers = [dropping(700), range_of(text)]
    with pytest.raises(MachineError, match="did not continue at byte 700"):
        read_all(site)


def test_a_part_that_was_not_asked_for_is_refused(site: Site) -> None:
    site.answers = [range_of("bytes 0-9/10")]
    with pytest.raises(MachineError, match="answered 206"):
        read_all(site)


def test_bytes_beyond_the_announced_length_are_not_read(site: Site) -> None:
    def long(handler: Handler, site: Site) -> None:
        send_head(handler, 200, {"Content-Length": "5"})
        handler.wfile.write(b"right and wrong")

    site.answers = [long]
    assert read_all(site, size=3) == b"right"


def test_a_chunked_body_is_read_and_continued(site: Site) -> None:
    def chunked(handler: Handler, site: Site) -> None:
        handler.protocol_version = "HTTP/1.1"
        send_head(handler, 200, {"Transfer-Encoding": "chunked", **validators(site)})
        handler.wfile.write(b"%x\r\n" % 700 + site.content[:700] + b"\r\n")

    site.answers = [chunked]
    assert read_all(site) == CONTENT
    assert site.asked[1]["range"] == "bytes=700-"


def test_a_body_of_unknown_length_ends_with_the_connection(site: Site) -> None:
    def endless(handler: Handler, site: Site) -> None:
        send_head(handler, 200, {})
        handler.wfile.write(b"all there is")

    site.answers = [endless]
    assert read_all(site) == b"all there is"


def test_a_server_that_makes_no_progress_is_given_up(site: Site) -> None:
    waiting = Waiting()
    site.answers = [dropping(700)] * 20
    with pytest.raises(MachineError, match="the connection ended early after 700 bytes") as caught:
        read_all(site, waiting)
    assert caught.value.hint == "given up after 5 more attempts"
    assert len(site.asked) == 6


def test_a_server_that_gives_a_byte_at_a_time_is_given_up(site: Site) -> None:
    site.answers = [dropping(cut) for cut in range(1, 30)]
    with pytest.raises(MachineError, match="the connection ended early after 6 bytes"):
        read_all(site)


def test_progress_starts_the_count_again(site: Site) -> None:
    site.content = bytes(1_000_000)
    site.answers = [dropping(cut) for cut in range(70_000, 1_000_000, 70_000)]
    assert read_all(site) == site.content


def test_waits_grow_and_are_reported(site: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(503)] * 4
    assert read_all(site, waiting) == CONTENT
    assert waiting.seconds == [0.5, 1.0, 2.0, 4.0]
    assert waiting.whys[0] == "the server answered 503 (Service Unavailable)"


def test_a_random_share_is_taken_off_a_wait(site: Site) -> None:
    seconds: list[float] = []
    site.answers = [saying(503)]
    with open_source(site.url, settings=HttpSettings(sleep=seconds.append, jitter=lambda: 0.0)):
        pass
    assert seconds == [0.25]


def test_the_wait_that_a_server_asks_for_is_kept(site: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(503, Retry_After="17"), saying(429, Retry_After="Thu, 01 Jan 1970 00:01:40 GMT")]
    read_all(site, waiting, now=lambda: 80.0)
    assert waiting.seconds == [17.0, 20.0]


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "Thu, 99 Jan 1970 00:01:40 GMT"])
def test_a_senseless_wait_is_ignored(site: Site, text: str) -> None:
    waiting = Waiting()
    site.answers = [saying(503, Retry_After=text)]
    read_all(site, waiting)
    assert waiting.seconds == [0.5]


def test_a_server_that_asks_for_a_long_wait_is_given_up(site: Site) -> None:
    site.answers = [saying(503, Retry_After="86400")]
    with pytest.raises(MachineError, match="503") as caught:
        read_all(site)
    assert caught.value.hint == "the server asks to come back in 86400 s"


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_file_is_told_from_other_failures(site: Site, status: int) -> None:
    site.answers = [saying(status)]
    with pytest.raises(SourceNotFoundError, match="no such file"):
        read_all(site)


@pytest.mark.parametrize(("status", "hint"), [(401, "asks for a login"), (403, "does not allow it"), (400, None)])
def test_a_refusal_is_not_tried_again(site: Site, status: int, hint: str | None) -> None:
    site.answers = [saying(status)]
    with pytest.raises(MachineError, match=str(status)) as caught:
        read_all(site)
    assert (caught.value.hint is None) == (hint is None)
    assert hint is None or hint in (caught.value.hint or "")
    assert len(site.asked) == 1


def test_the_words_of_a_server_do_not_reach_the_terminal(site: Site) -> None:
    def shout(handler: Handler, _site: Site) -> None:
        handler.wfile.write(b"HTTP/1.0 418 \x1b[31mred\r\nContent-Length: 0\r\n\r\n")

    site.answers = [shout]
    with pytest.raises(MachineError, match=r"the server answered 418 \(I'm a Teapot\)") as caught:
        read_all(site)
    assert caught.value.what.isprintable()


def test_an_answer_that_is_not_http_is_given_up_in_words(site: Site) -> None:
    site.answers = [lambda handler, _site: (handler.wfile.write(b"SSH-2.0-\x1b[31m\r\n"), None)[1]] * 9
    with pytest.raises(MachineError, match=r"not HTTP as it should be \(BadStatusLine\)"):
        read_all(site)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_an_encoded_body_is_refused(site: Site, encoding: str) -> None:
    site.answers = [saying(200, Content_Encoding=encoding)]
    with pytest.raises(MachineError, match="encoded with"):
        read_all(site)


def test_a_redirect_is_followed(site: Site) -> None:
    site.answers = [saying(302, Location="/elsewhere")]
    assert read_all(site) == CONTENT
    assert site.asked[1][":path"] == "/elsewhere"


def test_a_continuation_starts_from_the_named_address_again(site: Site) -> None:
    moved = saying(307, Location="/signed?until=now")
    site.answers = [moved, dropping(700), moved]
    assert read_all(site) == CONTENT
    assert [asked[":path"] for asked in site.asked][2:] == ["/a.mender", "/signed?until=now"]
    assert site.asked[3]["range"] == "bytes=700-"


def test_endless_redirects_are_refused(site: Site) -> None:
    site.answers = [saying(302, Location="/a.mender")] * 50
    with pytest.raises(MachineError, match="redirects without end"):
        read_all(site)


def test_what_comes_with_a_redirect_is_not_read(site: Site) -> None:
    def endless(handler: Handler, site: Site) -> None:
        send_head(handler, 302, {"Location": "/elsewhere", "Transfer-Encoding": "chunked"})
        while len(site.asked) < 2:
            handler.wfile.write(b"5\r\nagain\r\n")

    site.answers = [endless]
    assert read_all(site) == CONTENT


@pytest.mark.parametrize("target", ["http://[::1/a", "http://a..b/", "//a\xe4..b", "file:///etc/passwd"])
def test_a_redirect_to_what_is_no_address_is_refused(site: Site, target: str) -> None:
    site.answers = [saying(302, Location=target)] * 9
    with pytest.raises(MachineError, match="redirects"):
        read_all(site)
    gc.collect()  # a connection that was left open would make itself heard


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/passwd"])
def test_a_redirect_out_of_http_is_refused(site: Site, target: str) -> None:
    site.answers = [saying(302, Location=target)]
    with pytest.raises(MachineError, match="redirects"):
        read_all(site)


def test_a_login_goes_to_its_host_only_and_is_not_shown(site: Site) -> None:
    with listening() as other:
        site.answers = [saying(302, Location="/here"), saying(302, Location=other.url), saying(200)]
        url = site.url.replace("//", "//me:s%3Acret@") + "?token=1"
        with open_source(url) as source:
            assert source.name == site.url
        assert [asked.get("authorization") for asked in site.asked] == ["Basic bWU6czpjcmV0"] * 2
        assert "authorization" not in other.asked[0]


def test_blanks_and_letters_of_any_alphabet_are_encoded(site: Site) -> None:
    with open_source(site.url.replace("a.mender", "ein%20Bild größer.mender?x=a b")):
        pass
    assert site.asked[0][":path"] == "/ein%20Bild%20gr%C3%B6%C3%9Fer.mender?x=a%20b"


def test_a_line_end_in_an_address_cannot_add_a_field(site: Site) -> None:
    with open_source(site.url + "\r\nX-More:%201"):
        pass
    assert "x-more" not in site.asked[0]


def test_a_server_that_says_nothing_is_given_up(site: Site) -> None:
    release = threading.Event()
    site.answers = [lambda _handler, _site: (release.wait(5), None)[1]] * 9
    try:
        with (
            pytest.raises(MachineError, match="no answer in time"),
            open_source(site.url, settings=HttpSettings(timeout=0.05, retries=1, sleep=lambda _: None)),
        ):
            pass
    finally:
        release.set()


def test_a_closed_port_is_not_tried_again() -> None:
    with listening() as gone:
        pass
    waiting = Waiting()
    with pytest.raises(MachineError, match="connection refused"):
        read_all(gone, waiting)
    assert not waiting.seconds


def test_an_unknown_host_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with (
        pytest.raises(MachineError, match=r"cannot read http://nowhere\.invalid/a: "),
        open_source("http://nowhere.invalid/a", settings=HttpSettings(retries=0, sleep=lambda _: None)),
    ):
        pass


def test_a_proxy_of_the_environment_is_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", site.url.removesuffix("/a.mender"))
    with open_source("http://artifacts.example/a.mender"):
        pass
    assert site.asked[0][":path"] == "http://artifacts.example/a.mender"


def test_a_refusal_by_the_proxy_is_told_in_our_own_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", site.url.removesuffix("/a.mender"))
    with (
        pytest.raises(MachineError, match=r"the proxy answered 501 \(Not Implemented\)"),
        open_source("https://artifacts.example/a.mender", settings=HttpSettings(retries=0)),
    ):
        pass


def test_an_artifact_is_verified_over_a_connection_that_breaks(site: Site) -> None:
    vectors = Path(__file__).parent / "vectors"
    site.content = (vectors / "corpus" / "valid" / "v16-44-module-many-zstd-signed.mender").read_bytes()
    site.answers = [dropping(cut) for cut in (100, 2000, 2001, 9000)]
    policy = Policy(verifiers=read_verifiers(vectors / "keys" / "rsa2048.pub"))
    with open_source(site.url, settings=Waiting().settings()) as source:
        assert len(read_artifact(source, policy).files) == 3

"""Broken bodies are continued where they stopped, on any server that has the same one, and never mixed with another."""

from collections.abc import Callable, Iterator

import pytest
from client_http import (
    CONTENT,
    LATER,
    WHEN,
    Answer,
    Handler,
    Reading,
    Site,
    Waiting,
    dropping,
    dropping_whole,
    listening,
    part,
    replaced,
    saying,
    send_head,
    serve,
    validators,
    whole,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bistable.client.errors import FetchError
from bistable.client.fetch import ChangedError, LinkRefusedError, TransientFetchError, open_artifact

OTHER = bytes(byte ^ 0x55 for byte in CONTENT[:1000]) + CONTENT[1000:]
"""Another body of the same size, which differs near its beginning only."""

ENDING = CONTENT[:-1000] + OTHER[:1000]
"""Another body of the same size, which differs near its end only."""


@pytest.fixture
def site() -> Iterator[Site]:
    with listening() as found:
        yield found


@pytest.fixture
def mirror() -> Iterator[Site]:
    with listening() as found:
        yield found


def read_all(site: Site, *mirrors: Site, waiting: Waiting | None = None, size: int = 65536, **more: object) -> bytes:
    fetch = (waiting or Waiting()).settings(**more)
    with open_artifact(site.url, fetch, mirrors=[mirror.url for mirror in mirrors]) as source:
        return bytes(Reading().take(source, size=size).data)


def test_a_body_is_read_whole_and_its_size_known_before(site: Site) -> None:
    with open_artifact(site.url, Waiting().settings()) as source:
        assert (source.size, source.name) == (len(CONTENT), site.url)
        assert Reading().take(source).data == CONTENT
        assert source.read(1) == b""
    assert site.asked[0]["accept-encoding"] == "identity"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.booleans()), max_size=6),
    size=st.sampled_from([1000, 65536, 1 << 20]),
)
def test_connections_lost_at_any_bytes_do_not_show(site: Site, cuts: list[tuple[int, bool]], size: int) -> None:
    site.asked.clear()
    site.answers = [dropping(cut) if ranges else dropping_whole(cut) for cut, ranges in cuts]
    assert read_all(site, size=size) == CONTENT
    assert not site.answers


def test_a_continuation_overlaps_so_that_it_can_be_compared(site: Site) -> None:
    site.answers = [dropping(700_000)]
    assert read_all(site) == CONTENT
    assert (site.asked[1]["range"], site.asked[1]["if-range"]) == (f"bytes={700_000 - 4096}-", '"one"')


def test_what_is_shorter_than_the_overlap_is_read_again(site: Site) -> None:
    site.answers = [dropping(4096)]
    assert read_all(site) == CONTENT
    assert site.ranges == [None, None]


def test_a_weak_tag_is_not_used_as_a_condition(site: Site) -> None:
    site.etag, site.modified = 'W/"one"', WHEN
    site.answers = [dropping(700_000)]
    assert read_all(site) == CONTENT
    assert site.asked[1]["if-range"] == WHEN


def test_a_body_without_any_validator_is_continued_at_its_address(site: Site) -> None:
    site.etag = None
    site.answers = [dropping(700_000)]
    assert read_all(site) == CONTENT
    assert "if-range" not in site.asked[1]
    assert site.ranges[1] is not None


def test_another_body_without_any_validator_shows_in_the_overlap(site: Site) -> None:
    site.etag = None
    other = bytes(len(CONTENT))
    site.answers = [dropping(700_000), replaced(other)]
    with pytest.raises(ChangedError, match="differs from what was read"):
        read_all(site)


@pytest.mark.parametrize("lie", [False, True])
def test_a_body_with_another_tag_and_other_bytes_is_refused_early(site: Site, lie: bool) -> None:
    def change(handler: Handler, site: Site) -> None:
        site.content, site.etag = OTHER, '"two"'
        if lie:  # as a server does that ignores the condition
            handler.headers.replace_header("If-Range", '"two"')
        serve(handler, site)

    site.answers = [dropping(2_000_000), change]
    with pytest.raises(ChangedError, match=r"differs from what was read, before byte \d{1,7}$") as caught:
        read_all(site)
    assert caught.value.hint == "start again"
    assert int(caught.value.what.rpartition(" ")[2]) <= (1 << 20) + 65536


def test_a_body_with_another_tag_and_the_same_bytes_is_continued(site: Site) -> None:
    site.answers = [dropping(1_500_000), replaced(CONTENT, etag='"two"')]
    assert read_all(site) == CONTENT


def test_a_body_that_is_the_same_so_far_comes_out_as_the_new_one(site: Site) -> None:
    """The bytes before the break are those of the new body as well, so that nothing is mixed."""
    site.answers = [dropping(1_500_000), replaced(ENDING, etag='"two"')]
    assert read_all(site) == ENDING


@pytest.mark.parametrize("answer", [serve, whole])
def test_a_changed_length_is_refused(site: Site, answer: Answer) -> None:
    site.answers = [dropping(700_000), replaced(CONTENT + b"more", then=answer)]
    with pytest.raises(ChangedError, match=f"it has {len(CONTENT) + 4} bytes now"):
        read_all(site)


def test_a_file_that_became_shorter_than_what_was_read_is_refused(site: Site) -> None:
    site.answers = [dropping(700_000), replaced(CONTENT[:600_000])]
    with pytest.raises(ChangedError, match="it has 600000 bytes now"):
        read_all(site)
    assert site.ranges[2] is None


def test_a_server_without_ranges_is_read_again_and_compared(site: Site) -> None:
    site.answers = [dropping(700_000), whole]
    assert read_all(site) == CONTENT


def test_a_part_that_starts_earlier_than_asked_is_taken(site: Site) -> None:
    site.answers = [dropping(700_000), part(100_000)]
    assert read_all(site) == CONTENT


def test_a_part_from_the_first_byte_on_is_compared_in_full(site: Site) -> None:
    site.answers = [dropping(1_700_000), replaced(OTHER, then=part(0))]
    with pytest.raises(ChangedError, match="differs"):
        read_all(site)


@pytest.mark.parametrize(
    "answer",
    [
        part(700_001),
        part(0, says="bytes 700-9"),
        part(0, says="bytes 700000-2299999"),
        part(0, says="lines 0-2299999/2300000"),
        part(0, says=""),
        saying(416),
    ],
)
def test_a_server_that_cannot_continue_is_asked_for_all_of_it(site: Site, answer: Answer) -> None:
    site.answers = [dropping(700_000), answer]
    assert read_all(site) == CONTENT
    assert site.ranges == [None, f"bytes={700_000 - 4096}-", None]


def test_a_range_that_lies_about_its_start_shows_in_the_overlap(site: Site) -> None:
    site.answers = [dropping(700_000), part(0, says=f"bytes {700_000 - 4096}-2299999/2300000")]
    with pytest.raises(ChangedError, match="differs"):
        read_all(site)


def test_a_part_that_was_not_asked_for_is_refused(site: Site) -> None:
    site.answers = [part(0)]
    with pytest.raises(FetchError, match="answered 206"):
        read_all(site)


def test_a_server_that_gives_slices_is_asked_for_the_next_one(site: Site) -> None:
    def slice_of(handler: Handler, site: Site) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        end = min(start + 800_000, len(CONTENT))
        span = f"bytes {start}-{end - 1}/{len(CONTENT)}"
        send_head(handler, 206, {"Content-Length": str(end - start), "Content-Range": span, **validators(site)})
        handler.wfile.write(CONTENT[start:end])

    site.answers = [dropping(100_000), slice_of, slice_of, slice_of]
    assert read_all(site, retries=1) == CONTENT


def chunked(*, cut: int | None = None) -> Answer:
    def answer(handler: Handler, site: Site) -> None:
        handler.protocol_version = "HTTP/1.1"
        send_head(handler, 200, {"Transfer-Encoding": "chunked", **validators(site)})
        for start in range(0, len(site.content), 100_000):
            if cut is not None and start >= cut:
                return
            piece = site.content[start : start + 100_000]
            handler.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    return answer


@pytest.mark.parametrize("answers", [[], [chunked(cut=800_000)], [chunked(cut=800_000), serve]])
def test_a_body_in_chunks_is_read_and_continued(site: Site, answers: list[Answer]) -> None:
    site.answers = [*answers, chunked()]
    with open_artifact(site.url, Waiting().settings()) as source:
        assert source.size is None
        assert Reading().take(source).data == CONTENT


def test_a_body_in_chunks_that_became_shorter_is_refused(site: Site) -> None:
    site.answers = [chunked(cut=800_000), replaced(CONTENT[:500_000], then=whole)]
    with pytest.raises(ChangedError, match="it has 500000 bytes now, of which 800000 were read"):
        read_all(site)


def test_bytes_beyond_the_announced_length_are_not_read(site: Site) -> None:
    def long(handler: Handler, _site: Site) -> None:
        send_head(handler, 200, {"Content-Length": "5"})
        handler.wfile.write(b"12345678")

    site.answers = [long]
    assert read_all(site) == b"12345"


# --- several servers


def test_the_next_server_is_asked_at_once_where_one_fails(site: Site, mirror: Site) -> None:
    waiting = Waiting()
    site.answers = [saying(503)]
    assert read_all(site, mirror, waiting=waiting) == CONTENT
    assert not waiting.seconds
    assert (len(site.asked), len(mirror.asked)) == (1, 1)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_server_that_has_it_not_is_not_asked_again(site: Site, mirror: Site, status: int) -> None:
    site.answers = [saying(status)]
    mirror.answers = [dropping(100), dropping(200)]
    assert read_all(site, mirror) == CONTENT
    assert len(site.asked) == 1


def test_the_same_server_is_asked_again_after_it_gave_something(site: Site, mirror: Site) -> None:
    site.answers = [dropping(700_000)]
    assert read_all(site, mirror) == CONTENT
    assert not mirror.asked


def test_another_server_with_the_same_strong_tag_goes_on_where_the_first_broke(site: Site, mirror: Site) -> None:
    site.answers = [dropping(700_000), saying(500)]
    assert read_all(site, mirror) == CONTENT
    assert mirror.ranges == [f"bytes={700_000 - 4096}-"]
    assert mirror.asked[0]["if-range"] == '"one"'


@pytest.mark.parametrize(("etag", "modified"), [('W/"one"', None), (None, WHEN), (None, None)])
def test_another_server_without_a_strong_tag_is_read_again_and_compared(
    site: Site, mirror: Site, etag: str | None, modified: str | None
) -> None:
    for each in (site, mirror):
        each.etag, each.modified = etag, modified
    site.answers = [dropping(700_000), saying(500)]
    assert read_all(site, mirror) == CONTENT
    assert mirror.ranges == [None]


def test_another_server_with_another_body_is_left_out(site: Site, mirror: Site) -> None:
    mirror.content, mirror.etag = OTHER, '"other"'
    site.answers = [dropping(700_000), saying(500)]
    assert read_all(site, mirror) == CONTENT
    assert len(mirror.asked) == 1


def test_another_server_that_lies_about_its_tag_is_caught_by_the_overlap(site: Site, mirror: Site) -> None:
    mirror.content = bytes(len(CONTENT))
    site.answers = [dropping(700_000), saying(404)]
    with pytest.raises(ChangedError, match="differs from what was read"):
        read_all(site, mirror)


def test_another_server_that_ignores_the_condition_is_read_again_and_compared(site: Site, mirror: Site) -> None:
    mirror.content, mirror.etag = OTHER, '"other"'
    site.answers, mirror.answers = [dropping(700_000), saying(404)], [part(700_000 - 4096)]
    with pytest.raises(ChangedError, match="differs from what was read"):
        read_all(site, mirror)
    assert mirror.ranges == [f"bytes={700_000 - 4096}-", None]


def test_no_server_with_the_same_body_is_an_error_that_says_so(site: Site, mirror: Site) -> None:
    mirror.content, mirror.etag, mirror.modified = OTHER, None, LATER
    site.answers = [dropping(700_000), saying(404)]
    with pytest.raises(ChangedError, match="differs from what was read") as caught:
        read_all(site, mirror)
    assert mirror.url in caught.value.what
    assert caught.value.hint == f"start again; {site.url}: the server answered 404 (Not Found)"


def test_a_failure_of_all_servers_names_them_all(site: Site, mirror: Site) -> None:
    site.answers, mirror.answers = [saying(404)], [saying(403)]
    with pytest.raises(LinkRefusedError, match="404") as caught:
        read_all(site, mirror)
    assert f"{mirror.url}: the server answered 403 (Forbidden)" in (caught.value.hint or "")


def test_what_may_heal_counts_more_than_what_will_not(site: Site, mirror: Site) -> None:
    site.answers, mirror.answers = [saying(404)], [saying(503)] * 3
    with pytest.raises(TransientFetchError, match="503"):
        read_all(site, mirror, retries=2)
    assert (len(site.asked), len(mirror.asked)) == (1, 3)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(
        st.tuples(st.booleans(), st.sampled_from(["drop", "whole", "busy"]), st.integers(0, len(CONTENT) - 1)),
        max_size=8,
    ),
    strong=st.booleans(),
)
def test_any_faults_of_two_servers_do_not_show(
    site: Site, mirror: Site, faults: list[tuple[bool, str, int]], strong: bool
) -> None:
    for each, first in ((site, True), (mirror, False)):
        each.etag = '"one"' if strong else None
        kinds: dict[str, Callable[[int], Answer]] = {
            "drop": dropping,
            "whole": dropping_whole,
            "busy": lambda _: saying(503),
        }
        each.answers = [kinds[kind](at) for where, kind, at in faults if where is first]
    assert read_all(site, mirror) == CONTENT

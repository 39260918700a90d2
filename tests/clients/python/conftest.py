"""What the SDK tests share: a client, the upstream's log, recordings, and the counts run.sh prints."""

import json
import os
import pathlib
import sys
import time
import urllib.parse
import urllib.request
import uuid

import openai
import pytest

CLIENTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CLIENTS))

import replay_upstream  # noqa: E402

DIRECT = bool(os.environ.get("CIRQUE_DIRECT"))
SHARED = os.environ.get("CIRQUE_SHARED", "")
TRANSCRIPTS = pathlib.Path(SHARED) / "transcripts"

gateway_only = pytest.mark.skipif(DIRECT, reason="about the gateway; this run goes straight to the replay upstream")


NOTHING_THERE = "nothing there: "


def nothing_there(reason):
    """This client, vendor or pair of them has no such feature."""
    pytest.skip(NOTHING_THERE + reason)


def pytest_terminal_summary(terminalreporter):
    """One line for scripts/check.sh, in a file so that no pytest option can hide it."""
    path = os.environ.get("CIRQUE_COUNTS")
    if path:
        stats = terminalreporter.stats
        count = {key: len(stats.get(key, ())) for key in ("passed", "failed", "error", "skipped")}
        # Pairs of a client and a vendor of which one lacks the feature are no skipped check: there is nothing to check.
        absent = sum(NOTHING_THERE in str(report.longrepr) for report in stats.get("skipped", ()))
        pathlib.Path(path).write_text("clients: python: %d passed, %d failed, %d skipped\nclients: python: %d pairs where "
                                      "client or vendor lacks the feature\n" % (
            count["passed"], count["failed"] + count["error"], count["skipped"] - absent, absent))


@pytest.fixture
def base_url():
    return os.environ["CIRQUE_URL"] + "/v1"


@pytest.fixture
def client(base_url):
    """Never retries: a test that wants retries says so with `with_options`."""
    with openai.OpenAI(base_url=base_url, max_retries=0, timeout=15) as made:
        yield made


@pytest.fixture
def aclient(base_url):
    return openai.AsyncOpenAI(base_url=base_url, max_retries=0, timeout=15)


@pytest.fixture
def unique():
    """Makes a fault's model name this test's own: `fault("hang")` is `fault/hang/<unique>`."""
    mark = uuid.uuid4().hex[:12]
    return lambda case: "fault/%s/%s" % (case, mark)


class Upstream:
    """What the replay upstream saw."""

    def __init__(self, url):
        self.url = url

    def requests(self, model):
        url = "%s/control/log?model=%s" % (self.url, urllib.parse.quote(model, safe=""))
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["requests"]

    def last(self, model):
        return self.requests(model)[-1]

    def left_after(self, model, since, at_most=5.0):
        """Seconds from `since` (time.monotonic) until the upstream saw its client leave; fails after `at_most`."""
        while time.monotonic() - since < at_most:
            seen = self.requests(model)
            if seen and seen[-1]["left"] is not None:
                return seen[-1]["left"] - since
            time.sleep(0.02)
        raise AssertionError("the upstream request was still open %.1f s after the client left" % at_most)


@pytest.fixture
def upstream():
    return Upstream(os.environ["REPLAY_URL"])


def exchange(name):
    """A recorded exchange by model name; the test is skipped where the recordings are not."""
    found = replay_upstream.load(name, SHARED)
    if found is None:
        if not name.startswith("fixture/") and not TRANSCRIPTS.is_dir():
            pytest.skip("no recordings at %s" % TRANSCRIPTS)
        raise AssertionError("no such exchange: %s" % name)
    return found


def recorded_chunks(name, include_usage):
    """The JSON of every event of a recorded stream, [DONE] left out."""
    chunks = []
    for event in replay_upstream.split_events(replay_upstream.stream_bytes(exchange(name), include_usage)):
        for line in event.decode().splitlines():
            data = line.removeprefix("data:").strip()
            if line.startswith("data:") and data != "[DONE]":
                chunks.append(json.loads(data))
    return chunks


def plain(model):
    """An SDK object as the JSON it was made from."""
    return model.model_dump(mode="json", exclude_unset=True, by_alias=True)


ASK = [{"role": "user", "content": "Say hello."}]

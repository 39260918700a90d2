"""A provider made of recordings, for the SDK tests: plain asyncio sockets, standard library only.

It answers the OpenAI API. The requested model decides the answer:

* `replay/<family>/<name>` or `<family>/<name>`: the recorded exchange in `<shared>/transcripts/<family>/<name>.json`.
* `fixture/<name>`: the same format, from `fixtures/` beside this file, so that a clone without recordings tests too.
* `fault/<case>/<any>`: a scripted fault, see `Faults`. `<any>` keeps two tests apart ("-then-ok" cases count by it).
* `demo`: the fixture `text` or `stream`.

Below `/vendors/` it is every other provider, strictly: that is the package `vendors` beside this file, which needs
the SDK tests' venv.

Streams leave in small pieces that end anywhere, with pauses. Like the real API it sends the usage chunk only when
`stream_options.include_usage` asks for it. `GET /control/log?model=<part>` tells what arrived and when a client left.

Not a mock of a provider's behaviour under load: that is load-tests/.
"""

import argparse
import asyncio
import base64
import json
import os
import pathlib
import random
import re
import struct
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
EVENT = re.compile(rb"(?:\r\n\r\n|\n\n|\r\r)")
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 413: "Payload Too Large",
           422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error",
           403: "Forbidden", 503: "Service Unavailable", 529: "Overloaded"}


def dump(body):
    """JSON as this server writes it; the tests compare bytes with it. Spaces on purpose: nobody may reformat it."""
    return json.dumps(body, ensure_ascii=False, separators=(", ", " : ")).encode()


def load(model, shared):
    """The exchange a model name stands for, or None."""
    name = model.removeprefix("replay/")
    if name.startswith("fixture/"):
        path = HERE / "fixtures" / (name.removeprefix("fixture/") + ".json")
    elif shared:
        path = pathlib.Path(shared) / "transcripts" / (name + ".json")
    else:
        return None
    if ".." in name or not path.is_file():
        return None
    return json.loads(path.read_text())


def split_events(sse):
    """SSE bytes into events, each with the blank line that ends it."""
    events, start = [], 0
    for match in EVENT.finditer(sse):
        events.append(sse[start:match.end()])
        start = match.end()
    if start < len(sse):
        events.append(sse[start:])
    return events


def is_usage_chunk(event):
    """The extra chunk of `include_usage`: no choices, only usage."""
    data = b"".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
    try:
        chunk = json.loads(data)
    except ValueError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and bool(chunk.get("usage"))


def stream_bytes(exchange, include_usage):
    """What the recorded stream looks like to a client that asked for usage, or did not."""
    sse = exchange["response"]["sse"].encode()
    if include_usage:
        return sse
    return b"".join(event for event in split_events(sse) if not is_usage_chunk(event))


def wants_usage(body):
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def as_base64(response):
    """Embeddings the way `encoding_format: base64` returns them: little-endian float32."""
    copy = json.loads(json.dumps(response))
    for item in copy["data"]:
        if isinstance(item["embedding"], list):
            packed = struct.pack("<%df" % len(item["embedding"]), *item["embedding"])
            item["embedding"] = base64.b64encode(packed).decode()
    return copy


def error(message, kind, code, param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Connection:
    """One client connection: reads requests, writes answers, notices when the other side leaves."""

    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.entry = None

    async def serve(self):
        try:
            while await self.one_request():
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            if self.entry is not None and self.entry["ended"] is None:
                self.entry["left"] = time.monotonic()
            self.writer.close()

    async def one_request(self):
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        request_line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = request_line.split(" ", 2)
        headers = {}
        for field in fields:
            if ":" in field:
                key, value = field.split(":", 1)
                headers[key.strip().lower()] = value.strip()
        body = await self.read_body(headers)
        path = urllib.parse.urlsplit(target)
        if path.path.startswith("/vendors/"):
            await self.vendor(method, target, headers, body)
        elif path.path == "/control/log":
            await self.control(urllib.parse.parse_qs(path.query))
        elif method == "GET" and path.path.startswith("/v1/models"):
            await self.models(path.path)
        elif method == "POST":
            await self.post(path.path, headers, body)
        else:
            await self.json(404, error("no such path: %s" % path.path, "invalid_request_error", None))
        return headers.get("connection", "").lower() != "close"

    async def read_body(self, headers):
        if "chunked" in headers.get("transfer-encoding", ""):
            body = b""
            while True:
                size = int((await self.reader.readline()).split(b";")[0], 16)
                body += await self.reader.readexactly(size)
                await self.reader.readline()
                if size == 0:
                    return body
        length = int(headers.get("content-length", 0))
        return await self.reader.readexactly(length) if length else b""

    async def control(self, query):
        part = query.get("model", [""])[0]
        entries = [e for e in self.server.log if part in e["model"]]
        await self.json(200, {"now": time.monotonic(), "requests": entries})

    async def models(self, path):
        listed = [{"id": name, "object": "model", "created": 1700000000, "owned_by": "replay"}
                  for name in ("demo", "fixture-text")]
        wanted = urllib.parse.unquote(path.removeprefix("/v1/models").removeprefix("/"))
        if not wanted:
            await self.json(200, {"object": "list", "data": listed})
            return
        for model in listed:
            if model["id"] == wanted:
                await self.json(200, model)
                return
        await self.json(404, error("no model %s" % wanted, "invalid_request_error", "model_not_found"))

    async def post(self, path, headers, raw):
        try:
            body = json.loads(raw)
            model = body["model"]
        except (ValueError, KeyError, TypeError):
            await self.json(400, error("not a request with a model", "invalid_request_error", None))
            return
        self.entry = {"model": model, "path": path, "headers": headers, "body": raw.decode(errors="replace"),
                      "began": time.monotonic(), "ended": None, "left": None, "events": 0}
        self.server.log.append(self.entry)
        if model.startswith("fault/"):
            await Faults(self, body).run()
        else:
            await self.replay(model, body)
        self.entry["ended"] = time.monotonic()

    async def vendor(self, method, target, headers, raw):
        """One exchange with a fake vendor. The entry is logged before the answer, as everywhere here."""
        from vendors import serve
        known, response = serve.handle(method, target, headers, raw, self.server.shared)
        self.entry = {"path": target, "headers": headers, "body": raw.decode(errors="replace"), **known,
                      "status": response.status, "began": time.monotonic(), "ended": None, "left": None, "events": 0}
        self.server.log.append(self.entry)
        if response.events is None:
            await self.json(response.status, response.body, response.headers, response.kind)
        elif response.pause:
            self.stream_head({**response.headers, "content-type": response.kind})
            await self.one_by_one(response.events, response.pause)
        else:
            await self.stream(b"".join(response.events), response.headers, known["model"], response.kind, 8,
                              (0, 0, 0, 0.001))
        self.entry["ended"] = time.monotonic()

    async def one_by_one(self, events, pause):
        """Events with pauses in which a client that leaves is noticed."""
        leaving = asyncio.ensure_future(self.reader.read(1))
        try:
            for event in events:
                await self.chunk(event)
                done, _ = await asyncio.wait({leaving}, timeout=pause)
                if done:
                    raise ConnectionResetError
        finally:
            leaving.cancel()
        await self.finish()

    async def replay(self, model, body):
        if model in ("demo", "fixture-text"):
            model = "fixture/stream" if body.get("stream") else "fixture/text"
        exchange = load(model, self.server.shared)
        if exchange is None:
            await self.json(404, error("The model `%s` does not exist" % model, "invalid_request_error",
                                       "model_not_found"))
            return
        response = exchange["response"]
        extra = {k: v for k, v in response["headers"].items() if k not in ("content-type", "content-length")}
        if "sse" in response:
            await self.stream(stream_bytes(exchange, wants_usage(body)), extra, seed=model)
            return
        answer = response["body"]
        if model.startswith("fixture/embeddings") and body.get("encoding_format") == "base64":
            answer = as_base64(answer)
        await self.json(response["status"], answer, extra)

    async def json(self, status, body, headers=None, kind="application/json"):
        data = body if isinstance(body, bytes) else dump(body)
        self.head(status, {"content-type": kind, "content-length": str(len(data)), **(headers or {})})
        self.writer.write(data)
        await self.writer.drain()

    def head(self, status, headers):
        lines = ["HTTP/1.1 %d %s" % (status, REASONS.get(status, "Status"))]
        lines += ["%s: %s" % pair for pair in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def stream_head(self, headers=None):
        self.head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked",
                        **(headers or {})})

    async def stream(self, data, headers, seed, kind="text/event-stream; charset=utf-8", pieces=25,
                     pauses=(0, 0.001, 0.003)):
        """About `pieces` that end anywhere, also inside a UTF-8 character; the same for the same recording."""
        self.stream_head({**headers, "content-type": kind})
        dice = random.Random(seed)
        widest = max(64, len(data) // pieces)
        at = 0
        while at < len(data):
            size = dice.randint(1, widest)
            await self.chunk(data[at:at + size])
            at += size
            await asyncio.sleep(dice.choice(pauses))
        await self.finish()

    async def chunk(self, data):
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()
        if self.entry is not None:
            self.entry["events"] += 1

    async def finish(self):
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def until_client_leaves(self, at_most=30.0):
        """Waits for the other side to close. A client of one request at a time sends nothing meanwhile."""
        try:
            await asyncio.wait_for(self.reader.read(1), at_most)
        except (asyncio.TimeoutError, ConnectionError):
            pass
        raise ConnectionResetError


class Faults:
    """The scripted faults: one method a case, `fault/<case>/<any>`."""

    def __init__(self, connection, body):
        self.at, self.body = connection, body
        _, self.case, *rest = body["model"].split("/", 2)
        self.seen = connection.server.count(body["model"])

    async def run(self):
        method = getattr(self, "case_" + self.case.replace("-", "_"), None)
        if method is None:
            await self.at.json(400, error("unknown fault %s" % self.case, "invalid_request_error", None))
            return
        await method()

    async def ok(self):
        await self.at.replay("demo", self.body)

    def event(self, index, finish=None):
        chunk = {"id": "chatcmpl-fault", "object": "chat.completion.chunk", "created": 1700000000, "model": "fault",
                 "choices": [{"index": 0, "delta": {"content": "w%d " % index}, "finish_reason": finish}]}
        return b"data: " + dump(chunk) + b"\n\n"

    async def three_events(self):
        self.at.stream_head()
        for index in range(3):
            await self.at.chunk(self.event(index))
            await asyncio.sleep(0.01)

    async def case_500(self):
        await self.at.json(500, error("the server had an error", "server_error", None))

    async def case_500_then_ok(self):
        await (self.case_500() if self.seen == 1 else self.ok())

    async def case_429(self):
        await self.at.json(429, error("rate limit reached", "tokens", "rate_limit_exceeded"), {"retry-after": "1"})

    async def case_429_then_ok(self):
        await (self.case_429() if self.seen == 1 else self.ok())

    async def case_401(self):
        await self.at.json(401, error("Incorrect API key provided: sk-replay", "invalid_request_error",
                                      "invalid_api_key"))

    async def case_413(self):
        await self.at.json(413, error("too much", "invalid_request_error", "request_too_large"))

    async def case_422(self):
        await self.at.json(422, error("cannot be done", "invalid_request_error", "unprocessable"))

    async def case_hang(self):
        await self.at.until_client_leaves()

    async def case_garbage(self):
        await self.at.json(200, b"<html><body>bad gateway, leaked-secret</body></html>", kind="text/html")

    async def case_die_mid_stream(self):
        """A reset after three whole events and a piece of a fourth."""
        await self.three_events()
        await self.at.chunk(self.event(3)[:30])
        await asyncio.sleep(0.02)
        self.at.writer.transport.abort()
        raise ConnectionResetError

    async def case_eof_mid_stream(self):
        """Closed in order, but inside the body: no last chunk."""
        await self.three_events()
        raise ConnectionResetError

    async def case_no_done(self):
        """A complete HTTP body whose last event never came: neither a finish reason nor [DONE]."""
        await self.three_events()
        await self.at.finish()

    async def case_empty_stream(self):
        """200 and a stream that ends before its first event."""
        self.at.stream_head()
        await self.at.finish()

    async def case_error_event(self):
        """The provider's own in-band error."""
        await self.three_events()
        await self.at.chunk(b"data: " + dump(error("overloaded", "server_error", "overloaded")) + b"\n\n")
        await self.at.finish()

    async def case_silent_stream(self):
        """One event, then nothing until the client gives up."""
        self.at.stream_head()
        await self.at.chunk(self.event(0))
        await self.at.until_client_leaves()

    async def case_slow_stream(self):
        """An event every 20 ms for at most 20 s, until the client leaves."""
        self.at.stream_head()
        leaving = asyncio.ensure_future(self.at.reader.read(1))
        try:
            for index in range(1000):
                await self.at.chunk(self.event(index))
                done, _ = await asyncio.wait({leaving}, timeout=0.02)
                if done:
                    raise ConnectionResetError
        finally:
            leaving.cancel()
        await self.at.finish()


class Server:
    def __init__(self, shared):
        self.shared, self.log, self.counts = shared, [], {}

    def count(self, model):
        self.counts[model] = self.counts.get(model, 0) + 1
        return self.counts[model]

    async def accept(self, reader, writer):
        await Connection(self, reader, writer).serve()


async def main(port_file, shared):
    server = Server(shared)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    port = listener.sockets[0].getsockname()[1]
    scratch = pathlib.Path(port_file + ".new")
    scratch.write_text(str(port))
    scratch.rename(port_file)
    # Ends with the script that started it, however that ends.
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port-file", required=True, help="written with the port once it listens")
    arguments.add_argument("--shared", default="", help="folder that holds transcripts/; may be absent")
    given = arguments.parse_args()
    try:
        asyncio.run(main(given.port_file, given.shared))
    except KeyboardInterrupt:
        sys.exit(0)

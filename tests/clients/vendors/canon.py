"""What every dialect has in common: the request as seen, the answer to give, signatures, ids and the transport values.

`Seen` is a plain dict, because it goes through the log as JSON:
  {"dialect", "op", "scenario", "stream", "system": text, "turns": [{"role": user|assistant, "parts": [part]}],
   "tools": [{"name", "description", "schema"}], "choice": auto|none|any|{"name"}, "schema": JSON Schema|True|None,
   "max_tokens", "temperature", "top_p", "stop": [..], "thinking": {..}|None, "cache_marks": n}
  part: {"kind": "text", "text"} | {"kind": "image"|"file"|"audio", "mime", "sha", "url"} | {"kind": "call", "id",
  "name", "args"}
        | {"kind": "result", "id", "name", "text", "error", "images": n} | {"kind": "thinking", "text", "signed"}
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from .shapes import Refused

KEY = b"the fake vendors' own secret"


@dataclass
class Request:
    method: str
    target: str                                    # path and query, as on the wire
    path: str                                      # below /vendors/<dialect>, percent-encoding kept
    query: dict
    headers: dict
    raw: bytes
    body: object = None
    shared: str = ""


@dataclass
class Response:
    status: int = 200
    body: object = None                            # JSON
    events: list = None                            # pieces of a stream (bytes); with a body, the body wins
    kind: str = "application/json"
    headers: dict = field(default_factory=dict)
    seen: dict = None
    pause: float = 0                               # seconds between two events


@dataclass
class Answer:
    """What the model says. `parts`: ("think", text) | ("redacted",) | ("text", text) | ("call", name, args)."""

    parts: list
    finish: str = "stop"                           # stop | length | tools | filter | sequence
    input: int = 31
    output: int = 17
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    stop_sequence: str = None
    fail_after: int = None                         # events before an in-band error
    ordinal: int = 0                               # turns so far: keeps call ids of one dialogue apart

    def calls(self):
        return [part for part in self.parts if part[0] == "call"]

    def text(self):
        return "".join(part[1] for part in self.parts if part[0] == "text")

    def thought(self):
        return "".join(part[1] for part in self.parts if part[0] == "think")


def sign(kind, *about):
    """A signature only this process makes: changed content or somebody else's signature does not verify."""
    digest = hmac.new(KEY, "\0".join((kind,) + about).encode(), hashlib.sha256).digest()
    return base64.b64encode(kind.encode() + b":" + digest * 3).decode()


def verify(signature, path, kind, *about):
    if not isinstance(signature, str) or not hmac.compare_digest(signature.encode(), sign(kind, *about).encode()):
        raise Refused("Invalid `signature`: it was not issued for this content", path)


def call_id(prefix, answer, index, length=22):
    name = answer.calls()[index][1] if index < len(answer.calls()) else ""
    digest = hashlib.sha256(("%s %d %d" % (name, index, answer.ordinal)).encode()).hexdigest()
    return prefix + digest[:length]


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def text_part(text):
    return {"kind": "text", "text": text}


def media_part(kind, mime=None, data=None, url=None):
    return {"kind": kind, "mime": mime, "sha": digest(data) if data is not None else None, "url": url}


def call_part(identity, name, args):
    return {"kind": "call", "id": identity, "name": name, "args": args}


def result_part(identity, text, name=None, error=False, images=0):
    return {"kind": "result", "id": identity, "name": name, "text": text, "error": bool(error), "images": images}


def seen(dialect, op="chat", **known):
    base = {"dialect": dialect, "op": op, "stream": False, "system": "", "turns": [], "tools": [], "choice": "auto",
            "schema": None, "max_tokens": None, "temperature": None, "top_p": None, "stop": [], "thinking": None,
            "cache_marks": 0}
    base.update(known)
    return base


def parse_json(text, path):
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        raise Refused("not JSON", path) from None
    return found


def credentials(request, wanted, value):
    """The vendor's own header with our key, and no other vendor's nor the client's."""
    for name in ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"):
        if name != wanted and name in request.headers:
            raise Refused("foreign credential header %s" % name, name)
    for name, held in [*request.headers.items(), ("the path", request.target)]:
        if "client-secret" in held:
            raise Refused("the client's credential came through in %s" % name, name)
    if wanted and request.headers.get(wanted) != value:
        raise Refused("Incorrect API key provided", wanted, status=401, kind="auth")


def pieces(text, count=3):
    """A text in about `count` deltas that never split a character."""
    size = max(1, -(-len(text) // count))
    return [text[at:at + size] for at in range(0, len(text), size)] or [""]


def sse(data, event=None):
    head = "event: %s\n" % event if event else ""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return ("%sdata: %s\n\n" % (head, text)).encode()

"""What the dialogues share: the verbs, what a test asks for, what it gets back."""

import base64
import copy
import functools
from dataclasses import dataclass, field

KEY = "sk-client-secret"


@dataclass
class Call:
    id: str
    name: str
    args: dict


@dataclass
class Usage:
    input: int
    output: int
    cached: int = 0
    written: int = None
    reasoning: int = None


@dataclass
class Reply:
    text: str = ""
    calls: list = field(default_factory=list)
    thinking: str = ""
    finish: str = ""
    usage: Usage = None
    raw: object = None


@dataclass
class Asked:
    """What a test wants, in no SDK's words. `choice`: auto | any | none | a tool's name."""

    system: str = None
    tools: list = None
    choice: str = None
    thinking: object = False                       # or "adaptive", for the one vendor that has it
    schema: dict = None
    max_tokens: int = None
    temperature: float = None
    top_p: float = None
    stop: list = None


def data_url(mime, data):
    return "data:%s;base64,%s" % (mime, base64.b64encode(data).decode())


def given(**options):
    return {key: value for key, value in options.items() if value is not None}


@functools.cache
def shared_client(maker, url, key):
    """One client an address and key for the whole run: making one costs more than a test, for the TLS context in it."""
    return maker(url, key)


class Session:
    lacks = frozenset()
    # An API with no word for it: the gateway may show thoughts to its users, or not.
    cannot_ask_for_thoughts = False
    # Does this SDK's user carry the thinking of earlier turns, with its signatures?
    carries_thinking = True

    def __init__(self, url, model, stream, key=KEY, **asked):
        self.url, self.model, self.stream, self.key, self.asked = url, model, stream, key, Asked(**copy.deepcopy(asked))
        self.history = []
        self.open()

    def open(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

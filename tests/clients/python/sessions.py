"""One dialogue with one SDK, the way its users hold it: the SDK's own objects go back as history.

Every class offers the same few verbs, so that a scenario is written once and run with each SDK. Nothing here knows
about providers; what an SDK cannot express is in its `lacks`.
"""

import base64
import copy
import functools
import json
import types
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


class OpenAIChat(Session):
    name = "openai-chat"
    cannot_ask_for_thoughts = True
    lacks = frozenset({"cache-write"})

    @staticmethod
    def make(url, key):
        import openai
        return openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=20)

    def open(self):
        self.client = shared_client(self.make, self.url, self.key)

    def options(self):
        asked = self.asked
        made = given(max_completion_tokens=asked.max_tokens, temperature=asked.temperature, top_p=asked.top_p, stop=asked.stop)
        if asked.tools:
            made["tools"] = [{"type": "function", "function": tool} for tool in asked.tools]
        if asked.choice:
            made["tool_choice"] = {"any": "required", "auto": "auto", "none": "none"}.get(
                asked.choice, {"type": "function", "function": {"name": asked.choice}})
        if asked.thinking:
            made["reasoning_effort"] = "medium"
        if asked.schema:
            made["response_format"] = {"type": "json_schema", "json_schema": {"name": "person", "strict": True,
                                                                              "schema": asked.schema}}
        return made

    def say(self, text, image=None, file=None):
        content = text
        if image or file:
            content = [{"type": "text", "text": text}]
        if image:
            content.append({"type": "image_url", "image_url": {"url": data_url(*image)}})
        if file:
            content.append({"type": "file", "file": {"filename": "a.pdf", "file_data": data_url(*file)}})
        self.history.append({"role": "user", "content": content})
        return self.send()

    def answer(self, *results):
        for call, text in results:
            self.history.append({"role": "tool", "tool_call_id": call.id, "content": text})
        return self.send()

    def send(self):
        system = [{"role": "system", "content": self.asked.system}] if self.asked.system else []
        arguments = dict(model=self.model, messages=system + self.history, **self.options())
        if self.stream:
            message, finish, usage = self.gather(self.client.chat.completions.create(
                stream=True, stream_options={"include_usage": True}, **arguments))
        else:
            answer = self.client.chat.completions.create(**arguments)
            message = answer.choices[0].message.model_dump(exclude_none=True)
            message.pop("annotations", None)
            finish, usage = answer.choices[0].finish_reason, answer.usage
        self.history.append(message)
        return Reply(message.get("content") or message.get("refusal") or "", self.calls(message), message.get("reasoning_content") or "", finish,
                     self.usage(usage), message)

    @staticmethod
    def gather(stream):
        """Deltas into a message, unknown fields too, as agents do that speak to many vendors."""
        message, calls, details, finish, usage = {"role": "assistant", "content": ""}, {}, {}, None, None
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                delta = choice.delta.model_dump(exclude_none=True)
                message["content"] += delta.get("content") or delta.get("refusal") or ""
                if delta.get("reasoning_content"):
                    message["reasoning_content"] = message.get("reasoning_content", "") + delta["reasoning_content"]
                for piece in delta.get("reasoning_details", []):
                    known = details.setdefault(piece.get("index", len(details)), {})
                    for key, value in piece.items():
                        known[key] = known.get(key, "") + value if key in ("text", "data", "summary") else value
                for piece in delta.get("tool_calls", []):
                    known = calls.setdefault(piece["index"], {"id": "", "type": "function",
                                                              "function": {"name": "", "arguments": ""}})
                    known["id"] += piece.get("id") or ""
                    function = piece.get("function", {})
                    known["function"]["name"] += function.get("name") or ""
                    known["function"]["arguments"] += function.get("arguments") or ""
                    known.update({key: value for key, value in piece.items() if key not in ("id", "index", "function", "type")})
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
            message["content"] = message["content"] or None
        if details:
            message["reasoning_details"] = [details[index] for index in sorted(details)]
        return message, finish, usage

    @staticmethod
    def calls(message):
        return [Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message.get("tool_calls", [])]

    @staticmethod
    def usage(found):
        return Usage(found.prompt_tokens, found.completion_tokens,
                     (found.prompt_tokens_details and found.prompt_tokens_details.cached_tokens) or 0, None,
                     (found.completion_tokens_details and found.completion_tokens_details.reasoning_tokens) or 0)

    finishes = {"stop": "stop", "tools": "tool_calls", "length": "length", "filter": "content_filter", "sequence": "stop"}


class OpenAIResponses(Session):
    name = "openai-responses"
    lacks = frozenset({"stop", "cache-write"})

    @staticmethod
    def make(url, key):
        import openai
        return openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=20)

    def open(self):
        self.client = shared_client(self.make, self.url, self.key)

    def options(self):
        asked = self.asked
        made = given(max_output_tokens=asked.max_tokens, temperature=asked.temperature, top_p=asked.top_p,
                     instructions=asked.system)
        if asked.tools:
            made["tools"] = [{"type": "function", "strict": False, **tool} for tool in asked.tools]
        if asked.choice:
            made["tool_choice"] = {"any": "required", "auto": "auto", "none": "none"}.get(
                asked.choice, {"type": "function", "name": asked.choice})
        if asked.thinking:
            made.update(reasoning={"effort": "medium", "summary": "auto"}, include=["reasoning.encrypted_content"])
        if asked.schema:
            made["text"] = {"format": {"type": "json_schema", "name": "person", "strict": True, "schema": asked.schema}}
        return made

    def say(self, text, image=None, file=None):
        content = [{"type": "input_text", "text": text}]
        if image:
            content.append({"type": "input_image", "image_url": data_url(*image), "detail": "auto"})
        if file:
            content.append({"type": "input_file", "filename": "a.pdf", "file_data": data_url(*file)})
        self.history.append({"role": "user", "content": content})
        return self.send()

    def answer(self, *results):
        for call, text in results:
            self.history.append({"type": "function_call_output", "call_id": call.id, "output": text})
        return self.send()

    def send(self):
        arguments = dict(model=self.model, input=self.history, store=False, **self.options())
        if self.stream:
            with self.client.responses.stream(**arguments) as stream:
                text, answer = "", None
                for event in stream:
                    text += event.delta if event.type == "response.output_text.delta" else ""
                    # `get_final_response()` knows only response.completed.
                    if event.type in ("response.completed", "response.incomplete"):
                        answer = event.response
            assert text == answer.output_text
        else:
            answer = self.client.responses.create(**arguments)
        self.history += answer.output
        calls = [Call(item.call_id, item.name, json.loads(item.arguments)) for item in answer.output
                 if item.type == "function_call"]
        thinking = "".join(part.text for item in answer.output if item.type == "reasoning" for part in item.summary)
        usage = answer.usage
        finish = answer.incomplete_details.reason if answer.incomplete_details else answer.status
        refusals = [part.refusal for item in answer.output if item.type == "message" for part in item.content
                    if part.type == "refusal"]
        return Reply(answer.output_text or "".join(refusals), calls, thinking, finish, Usage(
            usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens, None,
            usage.output_tokens_details.reasoning_tokens), answer)

    finishes = {"stop": "completed", "tools": "completed", "length": "max_output_tokens", "filter": "content_filter",
                "sequence": "completed"}


class Anthropic(Session):
    name = "anthropic"
    # Its SDK 2 speaks API version 2026-10-21, which took the sampling parameters away.
    lacks = frozenset({"sampling"})

    @staticmethod
    def make(url, key):
        import anthropic
        return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20)

    def open(self):
        self.client = shared_client(self.make, self.url, self.key)

    def options(self):
        asked = self.asked
        made = given(system=asked.system, stop_sequences=asked.stop)
        if asked.tools:
            made["tools"] = [{"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
                             for tool in asked.tools]
        if asked.choice:
            made["tool_choice"] = {"any": {"type": "any"}, "auto": {"type": "auto"}, "none": {"type": "none"}}.get(
                asked.choice, {"type": "tool", "name": asked.choice})
        if asked.thinking:
            made["thinking"] = {"type": "adaptive"} if asked.thinking == "adaptive" else {
                "type": "enabled", "budget_tokens": 2048}
        if asked.schema:
            made["output_config"] = {"format": {"type": "json_schema", "schema": asked.schema}}
        return made

    def say(self, text, image=None, file=None):
        content = [{"type": "text", "text": text}]
        for kind, media in (("image", image), ("document", file)):
            if media:
                content.append({"type": kind, "source": {"type": "base64", "media_type": media[0],
                                                         "data": base64.b64encode(media[1]).decode()}})
        self.history.append({"role": "user", "content": content})
        return self.send()

    def answer(self, *results):
        self.history.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in results]})
        return self.send()

    def send(self):
        arguments = dict(model=self.model, max_tokens=self.asked.max_tokens or 4096, messages=self.history, **self.options())
        if self.stream:
            with self.client.messages.stream(**arguments) as stream:
                text = "".join(stream.text_stream)
                answer = stream.get_final_message()
            assert text == "".join(block.text for block in answer.content if block.type == "text")
        else:
            answer = self.client.messages.create(**arguments)
        self.history.append({"role": "assistant", "content": answer.content})
        blocks = answer.content
        usage = answer.usage
        cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        return Reply("".join(block.text for block in blocks if block.type == "text"),
                     [Call(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
                     "".join(block.thinking for block in blocks if block.type == "thinking"), answer.stop_reason,
                     Usage(usage.input_tokens + cached + written, usage.output_tokens, cached, written, None), answer)

    finishes = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens", "filter": "refusal",
                "sequence": "stop_sequence"}


class GenAI(Session):
    name = "google-genai"
    lacks = frozenset({"cache-write"})

    @staticmethod
    def make(url, key):
        from google import genai
        return genai.Client(api_key=key, http_options=genai.types.HttpOptions(
            base_url=url, timeout=20_000, retry_options=genai.types.HttpRetryOptions(attempts=1)))

    def open(self):
        from google.genai import types as shapes
        self.types = shapes
        self.client = shared_client(self.make, self.url, self.key)
        self.chat = self.client.chats.create(model=self.model, config=self.options())

    def options(self):
        asked, types = self.asked, self.types
        made = given(system_instruction=asked.system, max_output_tokens=asked.max_tokens, temperature=asked.temperature,
                     top_p=asked.top_p, stop_sequences=asked.stop)
        if asked.tools:
            made["tools"] = [types.Tool(function_declarations=[types.FunctionDeclaration(
                name=tool["name"], description=tool["description"], parameters_json_schema=tool["parameters"])
                for tool in asked.tools])]
        if asked.choice:
            mode = {"any": "ANY", "auto": "AUTO", "none": "NONE"}.get(asked.choice, "ANY")
            names = [asked.choice] if asked.choice not in ("any", "auto", "none") else None
            made["tool_config"] = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(
                mode=mode, allowed_function_names=names))
        if asked.thinking:
            made["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        if asked.schema:
            made.update(response_mime_type="application/json", response_json_schema=asked.schema)
        return types.GenerateContentConfig(**made)

    def say(self, text, image=None, file=None):
        parts = [self.types.Part(text=text)]
        for media in filter(None, (image, file)):
            parts.append(self.types.Part.from_bytes(data=media[1], mime_type=media[0]))
        return self.send(parts)

    def answer(self, *results):
        return self.send([self.types.Part(function_response=self.types.FunctionResponse(
            id=call.id, name=call.name, response={"output": text})) for call, text in results])

    def send(self, parts):
        if self.stream:
            answers = list(self.chat.send_message_stream(parts))
        else:
            answers = [self.chat.send_message(parts)]
        found = [part for answer in answers if answer.candidates and answer.candidates[0].content
                 for part in answer.candidates[0].content.parts or []]
        finishes = [answer.candidates[0].finish_reason for answer in answers if answer.candidates
                    and answer.candidates[0].finish_reason]
        assert len(finishes) == 1, finishes
        usage = next(answer.usage_metadata for answer in reversed(answers) if answer.usage_metadata)
        reasoning = usage.thoughts_token_count or 0
        return Reply("".join(part.text for part in found if part.text and not part.thought),
                     [Call(part.function_call.id, part.function_call.name, part.function_call.args or {})
                      for part in found if part.function_call],
                     "".join(part.text for part in found if part.text and part.thought), finishes[0].value,
                     Usage(usage.prompt_token_count, (usage.candidates_token_count or 0) + reasoning,
                           usage.cached_content_token_count or 0, None, reasoning), answers)

    finishes = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "filter": ("SAFETY", "PROHIBITED_CONTENT", "OTHER"),
                "sequence": "STOP"}


class Mistral(Session):
    """Mistral's SDK as a chat client of the OpenAI-shaped endpoint; it knows nothing of thinking or signatures there."""

    name = "mistralai"
    # Its streams need whole tool calls, OpenAI's have pieces; and it does not ask for usage figures.
    lacks = frozenset({"thinking", "file", "cache-write", "stream-tools", "stream-usage"})
    carries_thinking = False

    @staticmethod
    def make(url, key):
        from mistralai.client import Mistral as Client
        return Client(api_key=key, server_url=url, timeout_ms=20_000)

    def open(self):
        self.client = shared_client(self.make, self.url, self.key)

    def options(self):
        asked = self.asked
        made = given(max_tokens=asked.max_tokens, temperature=asked.temperature, top_p=asked.top_p, stop=asked.stop)
        if asked.tools:
            made["tools"] = [{"type": "function", "function": tool} for tool in asked.tools]
        if asked.choice:
            made["tool_choice"] = {"any": "required", "auto": "auto", "none": "none"}.get(
                asked.choice, {"type": "function", "function": {"name": asked.choice}})
        if asked.schema:
            made["response_format"] = {"type": "json_schema", "json_schema": {"name": "person", "strict": True,
                                                                              "schema": asked.schema}}
        return made

    def say(self, text, image=None, file=None):
        content = text
        if image:
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": data_url(*image)}}]
        self.history.append({"role": "user", "content": content})
        return self.send()

    def answer(self, *results):
        for call, text in results:
            self.history.append({"role": "tool", "tool_call_id": call.id, "content": text})
        return self.send()

    def send(self):
        system = [{"role": "system", "content": self.asked.system}] if self.asked.system else []
        arguments = dict(model=self.model, messages=system + self.history, **self.options())
        if self.stream:
            text, calls, finish, usage = "", [], None, None
            for event in self.client.chat.stream(**arguments):
                usage = event.data.usage or usage
                for choice in event.data.choices:
                    finish = choice.finish_reason or finish
                    content = choice.delta.content
                    text += content if isinstance(content, str) else ""
                    calls += choice.delta.tool_calls or []
            merged = {}
            for call in calls:
                known = merged.setdefault(call.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                known["id"] = call.id if call.id and call.id != "null" else known["id"]
                known["function"]["name"] += call.function.name or ""
                known["function"]["arguments"] += call.function.arguments if isinstance(call.function.arguments, str) \
                    else json.dumps(call.function.arguments)
            found = list(merged.values())
        else:
            answer = self.client.chat.complete(**arguments)
            message = answer.choices[0].message
            content, finish, usage = message.content, answer.choices[0].finish_reason, answer.usage
            text = content if isinstance(content, str) else "".join(part.text for part in content or [] if part.type == "text")
            found = [{"id": call.id, "type": "function", "function": {
                "name": call.function.name, "arguments": call.function.arguments}} for call in message.tool_calls or []]
        # Not the SDK's own object: it adds `prefix` and `index`, which OpenAI does not know.
        message = {"role": "assistant", "content": text, **({"tool_calls": found} if found else {})}
        self.history.append(message)
        calls = [Call(call["id"], call["function"]["name"], self.arguments(call["function"]["arguments"]))
                 for call in message.get("tool_calls") or []]
        return Reply(text, calls, "", finish,
                     Usage(usage.prompt_tokens, usage.completion_tokens) if usage else None, message)

    @staticmethod
    def arguments(found):
        return json.loads(found) if isinstance(found, str) else found

    finishes = {"stop": "stop", "tools": "tool_calls", "length": "length", "filter": ("error", "content_filter"),
                "sequence": "stop"}


class LangChain(Session):
    """LangChain's own message objects over one of three chat models."""

    lacks = frozenset({"file", "cache-write", "finish"})

    def tool(self, tool):
        return {"type": "function", "function": tool}

    def bound(self):
        from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
        self.messages = types.SimpleNamespace(human=HumanMessage, system=SystemMessage, tool=ToolMessage)
        model = self.chat_model()
        if self.asked.tools:
            extra = {"tool_choice": self.asked.choice} if self.asked.choice else {}
            model = model.bind_tools([self.tool(tool) for tool in self.asked.tools], **extra)
        return model

    def open(self):
        self.model_object = self.bound()
        if self.asked.system:
            self.history.append(self.messages.system(self.asked.system))

    def say(self, text, image=None):
        content = text
        if image:
            content = [{"type": "text", "text": text}, {"type": "image", "base64": base64.b64encode(image[1]).decode(),
                                                        "mime_type": image[0]}]
        self.history.append(self.messages.human(content))
        return self.send()

    def answer(self, *results):
        for call, text in results:
            self.history.append(self.messages.tool(text, tool_call_id=call.id, name=call.name))
        return self.send()

    def send(self):
        if self.stream:
            answer = None
            for chunk in self.model_object.stream(self.history):
                answer = chunk if answer is None else answer + chunk
        else:
            answer = self.model_object.invoke(self.history)
        self.history.append(answer)
        usage = answer.usage_metadata
        details = usage.get("input_token_details") or {}
        text = answer.text if isinstance(answer.text, str) else answer.text()
        thinking = "".join(block.get("reasoning") or "" for block in answer.content_blocks if block["type"] == "reasoning")
        return Reply(text, [Call(call["id"], call["name"], call["args"]) for call in answer.tool_calls], thinking, "",
                     Usage(usage["input_tokens"], usage["output_tokens"], details.get("cache_read") or 0), answer)


class LangChainOpenAI(LangChain):
    name = "langchain-openai"
    # ChatOpenAI drops `reasoning_content` and every other field it does not know.
    lacks = LangChain.lacks | {"visible-thinking"}
    carries_thinking = False

    def chat_model(self):
        from langchain_openai import ChatOpenAI
        asked = self.asked
        return ChatOpenAI(base_url=self.url + "/v1", api_key=self.key, model=self.model, max_retries=0, timeout=20,
                          stream_usage=True, **given(max_completion_tokens=asked.max_tokens, temperature=asked.temperature,
                                                     top_p=asked.top_p, stop=asked.stop,
                                                     reasoning_effort="medium" if asked.thinking else None))


class LangChainAnthropic(LangChain):
    name = "langchain-anthropic"
    lacks = LangChain.lacks | {"sampling"}

    def chat_model(self):
        from langchain_anthropic import ChatAnthropic
        asked = self.asked
        return ChatAnthropic(base_url=self.url, api_key=self.key, model=self.model, max_retries=0, timeout=20,
                             max_tokens=asked.max_tokens or 4096, **given(
                                 temperature=asked.temperature, stop=asked.stop,
                                 thinking=self.thinking() if asked.thinking else None))

    def thinking(self):
        return {"type": "adaptive"} if self.asked.thinking == "adaptive" else {"type": "enabled", "budget_tokens": 2048}


class LangChainGoogle(LangChain):
    name = "langchain-google-genai"
    # It keeps no redacted thinking of a stream.
    lacks = LangChain.lacks | {"redacted"}

    def chat_model(self):
        from langchain_google_genai import ChatGoogleGenerativeAI
        asked = self.asked
        return ChatGoogleGenerativeAI(base_url=self.url, api_key=self.key, model=self.model, max_retries=0, timeout=20, **given(
            max_tokens=asked.max_tokens, temperature=asked.temperature, stop=asked.stop,
            thinking_budget=2048 if asked.thinking else None, include_thoughts=True if asked.thinking else None))


SESSIONS = {made.name: made for made in (OpenAIChat, OpenAIResponses, Anthropic, GenAI, Mistral, LangChainOpenAI,
                                         LangChainAnthropic, LangChainGoogle)}

"""Mistral's SDK."""

import json

from .base import Call, Reply, Session, Usage, data_url, given, shared_client


class Mistral(Session):
    """Mistral's SDK as a chat client of the OpenAI-shaped endpoint; it knows nothing of thinking or signatures
    there."""

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
                known = merged.setdefault(call.index, {"id": "", "type": "function",
                                                       "function": {"name": "", "arguments": ""}})
                known["id"] = call.id if call.id and call.id != "null" else known["id"]
                known["function"]["name"] += call.function.name or ""
                known["function"]["arguments"] += call.function.arguments if isinstance(call.function.arguments, str) \
                    else json.dumps(call.function.arguments)
            found = list(merged.values())
        else:
            answer = self.client.chat.complete(**arguments)
            message = answer.choices[0].message
            content, finish, usage = message.content, answer.choices[0].finish_reason, answer.usage
            text = content if isinstance(content, str) else "".join(part.text for part in content or []
                                                                    if part.type == "text")
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

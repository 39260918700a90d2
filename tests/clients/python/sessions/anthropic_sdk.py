"""Anthropic's SDK."""

import base64

from .base import Call, Reply, Session, Usage, given, shared_client


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
            made["tools"] = [{"name": tool["name"], "description": tool["description"],
                              "input_schema": tool["parameters"]}
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
        arguments = dict(model=self.model, max_tokens=self.asked.max_tokens or 4096, messages=self.history,
                         **self.options())
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

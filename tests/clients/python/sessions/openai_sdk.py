"""OpenAI's SDK: chat completions and Responses."""

import json

from .base import Call, Reply, Session, Usage, data_url, given, shared_client


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
        made = given(max_completion_tokens=asked.max_tokens, temperature=asked.temperature, top_p=asked.top_p,
                     stop=asked.stop)
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
        return Reply(message.get("content") or message.get("refusal") or "", self.calls(message),
                     message.get("reasoning_content") or "", finish,
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
                    known.update({key: value for key, value in piece.items()
                                  if key not in ("id", "index", "function", "type")})
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

    finishes = {"stop": "stop", "tools": "tool_calls", "length": "length", "filter": "content_filter",
                "sequence": "stop"}


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

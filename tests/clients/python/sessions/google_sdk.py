"""Google's SDK, by its chats: they keep the history themselves."""

from .base import Call, Reply, Session, Usage, given, shared_client


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

    finishes = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS",
                "filter": ("SAFETY", "PROHIBITED_CONTENT", "OTHER"),
                "sequence": "STOP"}

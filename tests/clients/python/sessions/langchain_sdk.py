"""LangChain over three of the vendors."""

import base64
import types

from .base import Call, Reply, Session, Usage, given


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
        thinking = "".join(block.get("reasoning") or "" for block in answer.content_blocks
                           if block["type"] == "reasoning")
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
                          stream_usage=True, **given(max_completion_tokens=asked.max_tokens,
                                                     temperature=asked.temperature,
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

    def chat_model(self):
        from langchain_google_genai import ChatGoogleGenerativeAI
        asked = self.asked
        return ChatGoogleGenerativeAI(base_url=self.url, api_key=self.key, model=self.model, max_retries=0, timeout=20,
                                      **given(
            max_tokens=asked.max_tokens, temperature=asked.temperature, stop=asked.stop,
            thinking_budget=2048 if asked.thinking else None, include_thoughts=True if asked.thinking else None))

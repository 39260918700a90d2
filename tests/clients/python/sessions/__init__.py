"""One dialogue with one SDK, the way its users hold it: the SDK's own objects go back as history.

Every class offers the same few verbs, so that a scenario is written once and run with each SDK. Nothing here knows
about providers; what an SDK cannot express is in its `lacks`.
"""

from .anthropic_sdk import Anthropic
from .base import KEY
from .google_sdk import GenAI
from .langchain_sdk import LangChainAnthropic, LangChainGoogle, LangChainOpenAI
from .mistral_sdk import Mistral
from .openai_sdk import OpenAIChat, OpenAIResponses

__all__ = ["KEY", "SESSIONS"]

SESSIONS = {made.name: made for made in (OpenAIChat, OpenAIResponses, Anthropic, GenAI, Mistral, LangChainOpenAI,
                                         LangChainAnthropic, LangChainGoogle)}

//! Vendors and servers that speak OpenAI's API: one row each.
//!
//! A row says where the vendor's API is rooted and what to ask of its streams; what else differs is a row of
//! [`super::chat`]'s quirks; everything else is OpenAI's. For a
//! vendor without a row, `kind: openai` with `base_url` does the same. Sources: the page named in each row, its base URL
//! checked against stored copies of vendors' and integrators' documentation, 2026-11-21, and the recorded exchanges of
//! Groq, DeepSeek, xAI, Mistral, OpenRouter and Hugging Face. No account was used.

use super::chat::ChatCodec;
use super::openai::{self, Preferred};
use super::{Api, Asked, Provider};

/// One vendor or kind of server.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Vendor {
    /// Its `kind` in the configuration.
    pub name: &'static str,
    /// Where its API is rooted, unless the configuration says otherwise.
    pub base_url: &'static str,
    /// Ask for usage on streams with `stream_options`. False where usage comes unasked and the field is not documented.
    pub stream_usage: bool,
    /// It has OpenAI's Responses API too.
    pub responses: bool,
    /// Its documentation.
    pub reference: &'static str,
}

/// The table, by name.
pub static VENDORS: &[Vendor] = &[
    vendor(
        "cerebras",
        "https://api.cerebras.ai/v1",
        "inference-docs.cerebras.ai/resources/openai",
    ),
    vendor(
        "dashscope",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "alibabacloud.com/help/en/model-studio",
    ),
    vendor(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        "deepinfra.com/docs/openai_api",
    ),
    vendor("deepseek", "https://api.deepseek.com/v1", "api-docs.deepseek.com"),
    Vendor {
        responses: true,
        ..vendor(
            "fireworks",
            "https://api.fireworks.ai/inference/v1",
            "docs.fireworks.ai/tools-sdks/openai-compatibility",
        )
    },
    Vendor {
        responses: true,
        ..vendor("groq", "https://api.groq.com/openai/v1", "console.groq.com/docs/openai")
    },
    Vendor {
        responses: true,
        ..vendor(
            "huggingface",
            "https://router.huggingface.co/v1",
            "huggingface.co/docs/inference-providers",
        )
    },
    vendor(
        "llama-cpp",
        "http://127.0.0.1:8080/v1",
        "github.com/ggml-org/llama.cpp, tools/server",
    ),
    Vendor {
        responses: true,
        ..vendor(
            "lm-studio",
            "http://127.0.0.1:1234/v1",
            "lmstudio.ai/docs/api/endpoints/openai",
        )
    },
    vendor(
        "minimax",
        "https://api.minimax.io/v1",
        "platform.minimax.io/docs/api-reference",
    ),
    vendor(
        "moonshot",
        "https://api.moonshot.ai/v1",
        "platform.kimi.ai/docs/api/overview",
    ),
    vendor(
        "nvidia",
        "https://integrate.api.nvidia.com/v1",
        "docs.api.nvidia.com/nim/reference",
    ),
    Vendor {
        responses: true,
        ..vendor("ollama", "http://127.0.0.1:11434/v1", "docs.ollama.com/openai")
    },
    Vendor {
        responses: true,
        ..vendor(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "openrouter.ai/docs/api-reference",
        )
    },
    Vendor {
        stream_usage: false,
        ..vendor(
            "perplexity",
            "https://api.perplexity.ai",
            "docs.perplexity.ai/api-reference",
        )
    },
    vendor(
        "sambanova",
        "https://api.sambanova.ai/v1",
        "docs.sambanova.ai/docs/en/features/openai-compatibility",
    ),
    vendor(
        "sglang",
        "http://127.0.0.1:30000/v1",
        "docs.sglang.ai/basic_usage/openai_api",
    ),
    vendor(
        "tgi",
        "http://127.0.0.1:8080/v1",
        "huggingface.co/docs/text-generation-inference, Messages API",
    ),
    vendor(
        "together",
        "https://api.together.xyz/v1",
        "docs.together.ai/docs/openai-api-compatibility",
    ),
    Vendor {
        responses: true,
        ..vendor(
            "vllm",
            "http://127.0.0.1:8000/v1",
            "docs.vllm.ai/en/latest/serving/openai_compatible_server",
        )
    },
    Vendor {
        responses: true,
        ..vendor("xai", "https://api.x.ai/v1", "docs.x.ai/docs/api-reference")
    },
    vendor("zai", "https://api.z.ai/api/paas/v4", "docs.z.ai/api-reference"),
];

const fn vendor(name: &'static str, base_url: &'static str, reference: &'static str) -> Vendor {
    Vendor {
        name,
        base_url,
        stream_usage: true,
        responses: false,
        reference,
    }
}

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

/// A vendor.
#[derive(Debug, Clone, Copy)]
pub struct Compatible {
    vendor: &'static Vendor,
    chat: ChatCodec,
    preferred: Preferred,
}

impl Compatible {
    /// By its row.
    pub fn new(vendor: &'static Vendor, preferred: Preferred) -> Self {
        Self {
            vendor,
            chat: ChatCodec {
                quirks: super::chat::for_vendor(vendor.name),
            },
            preferred,
        }
    }
}

impl Provider for Compatible {
    fn name(&self) -> &'static str {
        self.vendor.name
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some(self.vendor.base_url)
    }

    fn stream_usage(&self) -> bool {
        self.vendor.stream_usage
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        openai::api(asked, self.chat, self.preferred, self.vendor.responses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_named_once_and_rooted_at_a_url() {
        for pair in VENDORS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
        for vendor in VENDORS {
            let local = vendor.base_url.starts_with("http://127.0.0.1:");
            assert!(local || vendor.base_url.starts_with("https://"), "{}", vendor.base_url);
            assert!(!vendor.base_url.ends_with('/') && !vendor.reference.is_empty());
            assert_eq!(find(vendor.name), Some(vendor));
        }
    }

    #[test]
    fn the_page_for_operators_lists_every_row() {
        let page = include_str!("../../docs/providers.md");
        for vendor in VENDORS {
            let row = format!("| `{}` | {} | {} |", vendor.name, vendor.base_url, vendor.reference);
            assert!(page.contains(&row), "docs/providers.md lacks: {row}");
        }
    }
}

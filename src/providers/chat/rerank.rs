//! Rerank, where a server of this shape has it: Jina's form, which vLLM, SGLang, llama.cpp and Together took over. The forms are
//! all in [`crate::providers::cohere::rerank`]; here is only which vendors have the operation.

use super::quirks::Quirks;
use crate::providers::codec::{Aim, Unfit};
use crate::providers::cohere::rerank::{Shape, encode_rerank};
use crate::wire::canonical::aux::{Made, RerankRequest};

pub use crate::providers::cohere::rerank::decode_rerank as decode;

/// The request.
pub fn encode(request: &RerankRequest<'_>, aim: Aim<'_>, quirks: &Quirks) -> Result<Made, Unfit> {
    if !quirks.rerank {
        return Err(Unfit::Operation);
    }
    encode_rerank(request, aim, Shape::Jina)
}

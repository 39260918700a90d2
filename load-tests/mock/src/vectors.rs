//! Embeddings and moderations: answers whose size follows the number of inputs.
//!
//! The vectors are made up from the position alone, so that two runs agree.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::answers::Answer;
use crate::ask::Ask;

const DIMENSIONS: usize = 256;

pub fn embeddings(ask: &Ask) -> Answer {
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS).clamp(1, 4096);
    let inputs = ask.inputs();
    let data: Vec<Value> = (0..inputs)
        .map(|index| {
            let vector = vector(index, dimensions);
            let embedding = if ask.wants_base64() {
                let bytes: Vec<u8> = vector.iter().flat_map(|f| f.to_le_bytes()).collect();
                Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens = inputs * 4;
    Answer::json(
        200,
        &json!({"object": "list", "data": data, "model": ask.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}),
    )
}

fn vector(index: usize, dimensions: usize) -> Vec<f32> {
    let scale = (dimensions as f32).sqrt().recip();
    (0..dimensions)
        .map(|d| if (d + index).is_multiple_of(2) { scale } else { -scale })
        .collect()
}

pub fn moderations(ask: &Ask) -> Answer {
    let result = json!({"flagged": false,
        "categories": {"hate": false, "harassment": false, "self-harm": false, "sexual": false, "violence": false},
        "category_scores": {"hate": 0.0001, "harassment": 0.0002, "self-harm": 0.0001, "sexual": 0.0001, "violence": 0.0003}});
    let results = vec![result; ask.inputs()];
    Answer::json(
        200,
        &json!({"id": "modr-mock0001", "model": ask.model, "results": results}),
    )
}

//! Reading safetensors: a length, a JSON header that says where each tensor lies, and the values.
//!
//! Only `F32`, which is what the model is in. Format: <https://github.com/huggingface/safetensors#format> (read 2026-11).

use super::super::error::ModelError;
use std::collections::HashMap;

const FILE: &str = "model.safetensors";

/// Tensors by name.
pub(super) struct Tensors<'f> {
    header: HashMap<String, serde_json::Value>,
    values: &'f [u8],
}

impl<'f> Tensors<'f> {
    /// Read the header.
    pub(super) fn parse(file: &'f [u8]) -> Result<Self, ModelError> {
        let wrong = || ModelError::damaged(FILE, "not a safetensors file");
        let (length, rest) = file.split_first_chunk::<8>().ok_or_else(wrong)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| wrong())?;
        let (header, values) = rest.split_at_checked(length).ok_or_else(wrong)?;
        Ok(Self {
            header: serde_json::from_slice(header).map_err(|_| wrong())?,
            values,
        })
    }

    /// The values of a tensor of this shape.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let wrong = |what: &str| ModelError::damaged(FILE, format!("{name}: {what}"));
        let tensor = self.header.get(name).ok_or_else(|| wrong("missing"))?;
        if tensor.get("dtype").and_then(|of| of.as_str()) != Some("F32") {
            return Err(wrong("not F32"));
        }
        let numbers = |field: &str| -> Option<Vec<usize>> {
            tensor
                .get(field)?
                .as_array()?
                .iter()
                .map(|n| usize::try_from(n.as_u64()?).ok())
                .collect()
        };
        if numbers("shape").as_deref() != Some(shape) {
            return Err(wrong("not of the model's shape"));
        }
        let bytes = match numbers("data_offsets").as_deref() {
            Some(&[from, to]) => self.values.get(from..to),
            _ => None,
        };
        let (values, rest) = bytes.ok_or_else(|| wrong("lies outside the file"))?.as_chunks::<4>();
        if !rest.is_empty() || values.len() != shape.iter().product::<usize>() {
            return Err(wrong("has not as many values as its shape"));
        }
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }
}

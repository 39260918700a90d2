//! A direction in space, kept as bytes: what a text is to the index and to the verifier.
//!
//! The one idea: values are scaled so that the largest is 127, and the length that they then have is kept beside them, so a cosine
//! is one integer product and two divisions, and true to about 1/500.

/// `N` bytes and their length. `Place` (256, static) and `Embedding` (384, of the model) are such. Empty (all zero) is near nothing.
#[derive(Clone, PartialEq)]
pub struct Vector<const N: usize> {
    values: [i8; N],
    /// 1 / length of the values as they are; 0 where all are 0.
    inverse: f32,
}

impl<const N: usize> std::fmt::Debug for Vector<N> {
    /// Not the values: much of a text can be read back from them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vector<{N}>")
    }
}

impl<const N: usize> Vector<N> {
    /// From bytes that were a vector's `values`.
    pub fn from_values(values: [i8; N]) -> Self {
        let squares: i32 = values.iter().map(|value| i32::from(*value) * i32::from(*value)).sum();
        let inverse = if squares == 0 {
            0.0
        } else {
            (squares as f32).sqrt().recip()
        };
        Self { values, inverse }
    }

    /// The nearest to a direction of any length; not finite or all zero is empty.
    pub fn from_direction(direction: &[f32; N]) -> Self {
        let largest = direction.iter().fold(0f32, |most, value| most.max(value.abs()));
        let scale = 127.0 / largest;
        let mut values = [0; N];
        if largest > 0.0 && scale.is_finite() {
            for (value, wanted) in values.iter_mut().zip(direction) {
                // Half up rather than `round`, which is a call where the processor has no instruction for it.
                *value = ((wanted * scale + 128.5) as i32 - 128) as i8;
            }
        }
        Self::from_values(values)
    }

    /// The bytes: what is stored, and what the index compares.
    pub fn values(&self) -> &[i8; N] {
        &self.values
    }

    /// 1 / length of the values: `cosine = dot(a, b) * a.inverse_length() * b.inverse_length()`.
    pub fn inverse_length(&self) -> f32 {
        self.inverse
    }

    /// Whether it points nowhere: a text without a word that the model knows.
    pub fn is_empty(&self) -> bool {
        self.inverse == 0.0
    }

    /// Cosine of the angle, -1 to 1; 0 with an empty one.
    pub fn cosine(&self, other: &Self) -> f32 {
        let dot: i32 = self
            .values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| i32::from(*a) * i32::from(*b))
            .sum();
        (dot as f32 * self.inverse * other.inverse).clamp(-1.0, 1.0)
    }

    /// For storage: one byte a value.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.iter().map(|value| value.cast_unsigned()).collect()
    }

    /// Back from storage. `None` where the length is not `N`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; N] = bytes.try_into().ok()?;
        Some(Self::from_values(bytes.map(u8::cast_signed)))
    }
}

//! What a target lacks, against what a request needs.

use super::model::Need;
use crate::wire::needs::Needs;

impl Need {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Vision => "vision",
            Self::Audio => "audio",
            Self::Files => "files",
            Self::JsonSchema => "json-schema",
            Self::Reasoning => "reasoning",
        }
    }

    /// Whether a request needs it.
    pub fn is_in(self, needs: &Needs) -> bool {
        match self {
            Self::Tools => needs.tools,
            Self::Vision => needs.vision,
            Self::Audio => needs.audio,
            Self::Files => needs.files,
            Self::JsonSchema => needs.json_schema,
            Self::Reasoning => needs.reasoning,
        }
    }
}

/// What of it a request needs.
pub fn lacking<'a>(lacks: &'a [Need], needs: &'a Needs) -> impl Iterator<Item = &'static str> + 'a {
    lacks.iter().filter(|need| need.is_in(needs)).map(|need| need.name())
}

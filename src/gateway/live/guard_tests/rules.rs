//! What is dropped, what is held back, how refusals end.

use super::*;

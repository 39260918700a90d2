//! Tests of the kept form.

//! Tests of the memory tier.

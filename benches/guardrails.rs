//! What guardrails cost.
fn main() {}

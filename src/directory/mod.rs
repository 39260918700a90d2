//! Tenants and keys as run. (Being written.)

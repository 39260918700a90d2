//! Tests of kept answers on the wire.

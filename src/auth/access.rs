//! What one tenant or key may do. (Being written.)

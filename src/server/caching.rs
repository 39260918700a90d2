//! The cache, opened at start: tiers in this process and in Redis, the semantic tier, and the log of what other instances do.

use crate::config::{ByteSize, Config};
use crate::gateway::App;
use crate::gateway::caching::Caching;
use std::sync::Arc;

/// Memory for answers, where the file says nothing.
const MEMORY: u64 = 256 << 20;
/// Answers longer than this are compressed.
const COMPRESS_ABOVE: usize = 2 << 10;

/// Open the tiers.
pub(super) fn open(config: &Config, app: &Arc<App>) {
    let written = &config.cache;
    let memory = written.memory.map_or(MEMORY, |size| size.as_bytes() as u64);
    let above = written.compress_above.map_or(COMPRESS_ABOVE, ByteSize::as_bytes);
    app.cache
        .store(Some(Arc::new(Caching::new(&app.meters, memory, above, None, None))));
}

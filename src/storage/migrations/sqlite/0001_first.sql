-- What 0001 makes: objects, usage and its sums, the audit log. Names of tenants, models and so on are numbers of `words` (0: none).

-- One row; its lock is what makes revisions visible in their order.
CREATE TABLE clock (
    one INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (one)
) STRICT, WITHOUT ROWID;

INSERT INTO clock (one, revision) VALUES (1, 0);

CREATE TABLE objects (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX objects_by_revision ON objects (revision);

CREATE TABLE key_hashes (
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    shown TEXT NOT NULL,
    until INTEGER,
    PRIMARY KEY (hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX key_hashes_by_name ON key_hashes (name);

CREATE TABLE settings (
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

-- Values are sealed (`sealed.rs`): nonce, ciphertext and tag.
CREATE TABLE secrets (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    sealing_key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Never updated, never deleted from: rows refer to these numbers.
CREATE TABLE words (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- Requests (attempt 0) and their attempts. Null where a figure is 0 or absent; `cost` null: not priced.
-- `tags` is ',3,7,' and `charges` 'count window nano;…', both of numbers of `words`.
CREATE TABLE ledger (
    at_ms INTEGER NOT NULL,
    id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    project INTEGER NOT NULL,
    user_name INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    model INTEGER NOT NULL,
    target INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    cache INTEGER NOT NULL,
    purpose INTEGER NOT NULL,
    status INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    ttft_ms INTEGER,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER,
    cache_write INTEGER,
    cache_write_1h INTEGER,
    reasoning INTEGER,
    audio_input INTEGER,
    audio_output INTEGER,
    cost INTEGER,
    cost_input INTEGER,
    cost_cached INTEGER,
    cost_cache_write INTEGER,
    cost_output INTEGER,
    cost_reasoning INTEGER,
    cost_audio INTEGER,
    cost_request INTEGER,
    billed INTEGER,
    request_id TEXT NOT NULL,
    tags TEXT,
    metadata TEXT,
    charges TEXT,
    unbilled_input INTEGER,
    unbilled_output INTEGER,
    web_searches INTEGER,
    tier INTEGER,
    PRIMARY KEY (at_ms, id, attempt)
) STRICT, WITHOUT ROWID;

-- Sums over requests, kept in the transaction that keeps the rows. `at_ms` is the start of the hour or day.
CREATE TABLE usage_hours (
    at_ms INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    project INTEGER NOT NULL,
    user_name INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    model INTEGER NOT NULL,
    target INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    cache INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (at_ms, organisation, team, project, user_name, key_name, model, target, provider, operation, outcome, cache)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_days (
    at_ms INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    project INTEGER NOT NULL,
    user_name INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    model INTEGER NOT NULL,
    target INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    cache INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (at_ms, organisation, team, project, user_name, key_name, model, target, provider, operation, outcome, cache)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_team_days (
    at_ms INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    project INTEGER NOT NULL,
    model INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (at_ms, organisation, team, project, model, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_tag_hours (
    at_ms INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    model INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (at_ms, tag, organisation, team, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_tag_days (
    at_ms INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    model INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (at_ms, tag, organisation, team, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
    count INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    nano INTEGER NOT NULL,
    PRIMARY KEY (count, began_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;

-- One row: the last entry, whose lock makes numbers gap-free, and the last one that retention dropped.
CREATE TABLE audit_head (
    one INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    dropped INTEGER NOT NULL,
    dropped_hash TEXT NOT NULL,
    PRIMARY KEY (one)
) STRICT, WITHOUT ROWID;

INSERT INTO audit_head (one, number, hash, dropped, dropped_hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- What 0001 makes: objects, usage and its sums, the audit log. Names of tenants, models and so on are numbers of `words` (0: none).

-- One row; its lock is what makes revisions visible in their order.
CREATE TABLE clock (
    one SMALLINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (one)
);

INSERT INTO clock (one, revision) VALUES (1, 0);

CREATE TABLE objects (
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted SMALLINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE INDEX objects_by_revision ON objects (revision);

CREATE TABLE key_hashes (
    hash TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    place SMALLINT NOT NULL,
    shown TEXT COLLATE "C" NOT NULL,
    until BIGINT,
    PRIMARY KEY (hash)
);

CREATE INDEX key_hashes_by_name ON key_hashes (name);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL,
    content TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name)
);

-- Values are sealed (`sealed.rs`): nonce, ciphertext and tag.
CREATE TABLE secrets (
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    sealing_key TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- Never updated, never deleted from: rows refer to these numbers.
CREATE TABLE words (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text TEXT COLLATE "C" NOT NULL UNIQUE
);

-- Requests (attempt 0) and their attempts. Null where a figure is 0 or absent; `cost` null: not priced.
-- `tags` is ',3,7,' and `charges` 'count window nano;…', both of numbers of `words`.
-- Partitions are months (UTC) of at_ms, made by `maintain` and, where one is missing, by the insert that needs it.
CREATE TABLE ledger (
    at_ms BIGINT NOT NULL,
    id BYTEA NOT NULL,
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
    stream SMALLINT NOT NULL,
    estimated SMALLINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    ttft_ms BIGINT,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached BIGINT,
    cache_write BIGINT,
    cache_write_1h BIGINT,
    reasoning BIGINT,
    audio_input BIGINT,
    audio_output BIGINT,
    cost BIGINT,
    cost_input BIGINT,
    cost_cached BIGINT,
    cost_cache_write BIGINT,
    cost_output BIGINT,
    cost_reasoning BIGINT,
    cost_audio BIGINT,
    cost_request BIGINT,
    billed BIGINT,
    request_id TEXT COLLATE "C" NOT NULL,
    tags TEXT COLLATE "C",
    metadata TEXT COLLATE "C",
    charges TEXT,
    unbilled_input BIGINT,
    unbilled_output BIGINT,
    web_searches BIGINT,
    tier BIGINT,
    PRIMARY KEY (at_ms, id, attempt)
) PARTITION BY RANGE (at_ms);

-- Sums over requests, kept in the transaction that keeps the rows. `at_ms` is the start of the hour or day.
CREATE TABLE usage_hours (
    at_ms BIGINT NOT NULL,
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
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    billed BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (at_ms, organisation, team, project, user_name, key_name, model, target, provider, operation, outcome, cache)
);

CREATE TABLE usage_days (
    at_ms BIGINT NOT NULL,
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
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    billed BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (at_ms, organisation, team, project, user_name, key_name, model, target, provider, operation, outcome, cache)
);

CREATE TABLE usage_team_days (
    at_ms BIGINT NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    project INTEGER NOT NULL,
    model INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    billed BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (at_ms, organisation, team, project, model, provider)
);

CREATE TABLE usage_tag_hours (
    at_ms BIGINT NOT NULL,
    tag INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    model INTEGER NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    billed BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (at_ms, tag, organisation, team, model)
);

CREATE TABLE usage_tag_days (
    at_ms BIGINT NOT NULL,
    tag INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    team INTEGER NOT NULL,
    model INTEGER NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    billed BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (at_ms, tag, organisation, team, model)
);

CREATE TABLE counts (
    count INTEGER NOT NULL,
    began_at BIGINT NOT NULL,
    nano BIGINT NOT NULL,
    PRIMARY KEY (count, began_at)
);

CREATE TABLE audit_log (
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (number)
);

-- One row: the last entry, whose lock makes numbers gap-free, and the last one that retention dropped.
CREATE TABLE audit_head (
    one SMALLINT NOT NULL,
    number BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    dropped BIGINT NOT NULL,
    dropped_hash TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (one)
);

INSERT INTO audit_head (one, number, hash, dropped, dropped_hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 0, '0000000000000000000000000000000000000000000000000000000000000000');

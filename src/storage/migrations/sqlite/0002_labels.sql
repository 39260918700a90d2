-- What many rows have in common is one number of `labels`, and what is neither searched nor summed is bytes in `rest`
-- (`src/storage/sql/rest.rs`). Rows written before have null in both and keep their columns; of rows written since, those of the
-- label are 0, `request_id` is empty and the others are null.

-- Never updated, never deleted from: rows refer to these numbers. Numbers of `words`, status and flags.
CREATE TABLE labels (
    id INTEGER PRIMARY KEY,
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
    UNIQUE (organisation, team, project, user_name, key_name, model, target, provider, operation, outcome, cache, purpose, status, stream, estimated)
) STRICT;

ALTER TABLE ledger ADD COLUMN label INTEGER;
ALTER TABLE ledger ADD COLUMN rest BLOB;

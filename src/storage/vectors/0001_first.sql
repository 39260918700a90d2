-- Questions of the semantic cache. The extension `vector` exists by now.
CREATE TABLE cirque_vectors (
    key BYTEA PRIMARY KEY,
    partition BYTEA NOT NULL,
    made_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    -- Whose it is and of which model: `kind=value`, what deletions choose by and what the label is read back from.
    names BYTEA[] NOT NULL,
    -- 1 and the text, or 2 and the sealed text; likewise what the verifier compares.
    question BYTEA NOT NULL,
    meaning BYTEA,
    place vector(256) NOT NULL
);
-- The text goes out of line when a row is long, never the place: a search reads every place of a partition.
ALTER TABLE cirque_vectors ALTER COLUMN place SET STORAGE PLAIN;
CREATE INDEX cirque_vectors_partition ON cirque_vectors (partition, ends_ms);
CREATE INDEX cirque_vectors_ends ON cirque_vectors (ends_ms);
CREATE INDEX cirque_vectors_names ON cirque_vectors USING gin (names);

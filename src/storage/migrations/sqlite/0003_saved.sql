-- What answers from the cache would have been billed at: nano-dollars. Null or 0: nothing.
ALTER TABLE ledger ADD COLUMN saved INTEGER;
ALTER TABLE usage_team_days ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_tag_days ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_tag_hours ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;

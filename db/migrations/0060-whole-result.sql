-- A tool's result that is too long to be read at a time stands in its message by its beginning; the whole is sealed beside
-- it, goes with it, and is read on request only.
ALTER TABLE message ADD COLUMN whole bytea, ADD COLUMN whole_bytes integer CHECK (whole_bytes > 0);

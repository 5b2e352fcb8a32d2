-- How far a sink has a chain is kept by whoever delivers, in an offset file beside the sink's other settings, and proved
-- by the hash of the last record: the table for it never held a row.
DROP TABLE audit_delivery;

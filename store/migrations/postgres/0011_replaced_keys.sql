-- The keys that have sealed the row before, in their order: none of them comes back, whatever the keyring's file of a node says that
-- is behind. `store copy` copies it.
ALTER TABLE store_check ADD COLUMN replaced TEXT NOT NULL DEFAULT '';

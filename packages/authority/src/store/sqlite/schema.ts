import type { DatabaseSync } from 'node:sqlite'
import type { Migrated } from '../moving.ts'
import { DELIVERIES_SCHEMA } from './deliveries.ts'
import { SETTLING_SCHEMA } from './settling.ts'

/** Forward only: a released migration is never edited, the next one is appended. */
export const MIGRATIONS = [
  `
  CREATE TABLE sessions (
    sid TEXT PRIMARY KEY,
    sub TEXT NOT NULL,
    client_id TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    ended_seq INTEGER,
    browser TEXT,
    state TEXT NOT NULL
  ) STRICT;
  CREATE INDEX sessions_browser ON sessions (browser) WHERE browser IS NOT NULL;

  CREATE TABLE revocations (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;

  CREATE TABLE audit (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    sub TEXT,
    sid TEXT,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;

  CREATE TABLE records (
    model TEXT NOT NULL,
    id TEXT NOT NULL,
    payload BLOB NOT NULL,
    expires_at INTEGER,
    consumed_at INTEGER,
    uid TEXT,
    sid TEXT,
    PRIMARY KEY (model, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX records_uid ON records (model, uid) WHERE uid IS NOT NULL;
  CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

  CREATE TABLE accounts (
    sub TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE keys (
    kid TEXT PRIMARY KEY,
    use TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
  ) STRICT;

  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  `,
  `
  CREATE TABLE status_lists (list INTEGER PRIMARY KEY, until INTEGER NOT NULL) STRICT;
  INSERT INTO status_lists
    SELECT (value - 1) / 131072, (unixepoch() + 3720) * 1000 FROM counters WHERE name = 'status-index';
  `,
  `
  ALTER TABLE sessions ADD COLUMN ended_at INTEGER;
  ALTER TABLE sessions ADD COLUMN ended_reason TEXT;
  ALTER TABLE sessions ADD COLUMN last_seen INTEGER;
  ALTER TABLE sessions ADD COLUMN due_at INTEGER;
  UPDATE sessions SET ended_at = json_extract(state, '$.ended.at'), ended_reason = json_extract(state, '$.ended.reason')
    WHERE ended_seq IS NOT NULL;
  UPDATE sessions SET due_at = opened_at WHERE ended_seq IS NULL;
  CREATE INDEX sessions_account ON sessions (sub, ended_seq);
  CREATE INDEX sessions_due ON sessions (due_at) WHERE due_at IS NOT NULL;

  CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    sub TEXT NOT NULL,
    name TEXT NOT NULL,
    renamed INTEGER NOT NULL DEFAULT 0,
    browser TEXT,
    os TEXT,
    kind TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    address TEXT NOT NULL,
    place TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX devices_account ON devices (sub);

  CREATE TABLE cut_offs (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;

  ALTER TABLE accounts ADD COLUMN valid_after INTEGER;
  ALTER TABLE accounts ADD COLUMN valid_browser TEXT;
  ALTER TABLE accounts ADD COLUMN reset_required INTEGER;
  ALTER TABLE accounts ADD COLUMN review_since INTEGER;
  ALTER TABLE accounts ADD COLUMN deactivated_at INTEGER;
  `,
  DELIVERIES_SCHEMA,
  'CREATE INDEX sessions_client ON sessions (client_id);',
  `
  CREATE INDEX audit_account ON audit (sub, n) WHERE sub IS NOT NULL;
  CREATE TABLE audit_anchor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    n INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  `,
  'CREATE INDEX accounts_review ON accounts (review_since) WHERE review_since IS NOT NULL;',
  'CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;',
  SETTLING_SCHEMA,
]

/** The newest schema. */
export const SCHEMA = MIGRATIONS.length

/**
 * Brings the database to the newest schema, in one transaction.
 * @returns from which one
 * @throws when it was written by a newer Rescind than this one
 */
export function migrate(db: DatabaseSync): Migrated {
  db.exec('BEGIN IMMEDIATE')
  try {
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    if (version > MIGRATIONS.length) {
      throw new Error(
        `this data was written by a newer Rescind (schema ${version}); upgrade Rescind to open it`,
      )
    }
    for (const migration of MIGRATIONS.slice(version)) db.exec(migration)
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
    db.exec('COMMIT')
    return { from: version, to: MIGRATIONS.length }
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

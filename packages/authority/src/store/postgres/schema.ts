import type { Client } from 'pg'
import { makePartitions, PARTITION } from './partitions.ts'

/*
 * Forward only: a released migration is never edited, the next one is appended. Bodies that are hashed are text, so that
 * they come back byte for byte.
 */
const MIGRATIONS = [
  `
  CREATE TABLE heads (
    id int PRIMARY KEY CHECK (id = 1),
    seq bigint NOT NULL,
    tag text NOT NULL,
    audit_n bigint NOT NULL,
    audit_hash text NOT NULL,
    keys bigint NOT NULL,
    clients bigint NOT NULL
  ) WITH (fillfactor = 50);
  INSERT INTO heads VALUES (1, 0, '', 0, '', 0, 0);

  CREATE TABLE sessions (
    pos bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    sid text COLLATE "C" PRIMARY KEY,
    sub text NOT NULL,
    client_id text NOT NULL,
    opened_at bigint NOT NULL,
    browser text,
    state text NOT NULL,
    ended_seq bigint,
    ended_at bigint,
    ended_reason text,
    last_seen bigint,
    due_at bigint
  ) WITH (fillfactor = 80);
  CREATE INDEX sessions_browser ON sessions (browser) WHERE browser IS NOT NULL;
  CREATE INDEX sessions_account ON sessions (sub, ended_seq);
  CREATE INDEX sessions_client ON sessions (client_id, pos);
  CREATE INDEX sessions_due ON sessions (due_at) WHERE due_at IS NOT NULL;
  CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

  CREATE TABLE revocations (seq bigint PRIMARY KEY, at bigint NOT NULL, body text NOT NULL) PARTITION BY RANGE (seq);

  CREATE TABLE audit (
    n bigint PRIMARY KEY,
    at bigint NOT NULL,
    event text NOT NULL,
    sub text,
    sid text,
    body text NOT NULL,
    hash text NOT NULL
  ) PARTITION BY RANGE (n);
  CREATE INDEX audit_account ON audit (sub, n) WHERE sub IS NOT NULL;
  CREATE TABLE audit_anchor (id int PRIMARY KEY CHECK (id = 1), n bigint NOT NULL, hash text NOT NULL, at bigint NOT NULL);
  -- A body that is no JSON any more matches nothing.
  CREATE FUNCTION member(body text, name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN RETURN body::json ->> name; EXCEPTION WHEN others THEN RETURN NULL; END $$;

  CREATE TABLE records (
    model text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    expires_at bigint,
    consumed_at bigint,
    uid text,
    sid text,
    PRIMARY KEY (model, id)
  );
  CREATE INDEX records_uid ON records (model, uid) WHERE uid IS NOT NULL;
  CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

  CREATE TABLE accounts (
    pos bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    sub text COLLATE "C" PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    password text NOT NULL,
    created_at bigint NOT NULL,
    valid_after bigint,
    valid_browser text,
    reset_required boolean,
    review_since bigint,
    deactivated_at bigint
  );
  CREATE UNIQUE INDEX accounts_email ON accounts (lower(email));
  CREATE INDEX accounts_review ON accounts (pos) WHERE review_since IS NOT NULL;

  CREATE TABLE devices (
    id text COLLATE "C" PRIMARY KEY,
    sub text NOT NULL,
    name text NOT NULL,
    renamed boolean NOT NULL DEFAULT false,
    browser text,
    os text,
    kind text NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    address text NOT NULL,
    place text NOT NULL
  );
  CREATE INDEX devices_account ON devices (sub);

  CREATE TABLE keys (
    kid text COLLATE "C" PRIMARY KEY,
    use text NOT NULL,
    sealed bytea NOT NULL,
    created_at bigint NOT NULL,
    retired_at bigint
  );
  CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL);
  CREATE TABLE status_lists (list bigint PRIMARY KEY, until bigint NOT NULL);
  CREATE TABLE cut_offs (seq bigint PRIMARY KEY, body text NOT NULL);

  CREATE TABLE deliveries (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    topic text NOT NULL,
    target text NOT NULL,
    lane text COLLATE "C" NOT NULL,
    sub text,
    payload bytea NOT NULL,
    n bigint NOT NULL,
    created_at bigint NOT NULL,
    next_at bigint NOT NULL,
    give_up_at bigint NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'waiting',
    forget_at bigint,
    last_error text
  );
  CREATE INDEX deliveries_waiting ON deliveries (lane, next_at) WHERE state = 'waiting';
  CREATE INDEX deliveries_forget ON deliveries (state, forget_at) WHERE forget_at IS NOT NULL;
  CREATE INDEX deliveries_mail_target ON deliveries (target, created_at) WHERE kind = 'mail';
  CREATE INDEX deliveries_mail_account ON deliveries (sub, created_at) WHERE kind = 'mail';
  `,
]

/** The version that data is of once all of them were applied. */
export const SCHEMA_VERSION = MIGRATIONS.length

/** Serialises migrations of processes that start together; any number that nobody else has. */
const LOCK = 7_236_410

/**
 * Brings the database to the newest schema, in one transaction; of several processes that start at once one does it.
 * @param partition how many records of a log make a table
 * @throws when it was written by a newer Rescind than this one
 */
export async function migrate(client: Client, partition = PARTITION): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK])
    await client.query('CREATE TABLE IF NOT EXISTS schema_version (version int NOT NULL)')
    const { rows } = await client.query('SELECT version FROM schema_version')
    const version: number = rows[0]?.version ?? 0
    if (version > MIGRATIONS.length)
      throw new Error(
        `this data was written by a newer Rescind (schema ${version}); upgrade Rescind to open it`,
      )
    for (const migration of MIGRATIONS.slice(version)) await client.query(migration)
    if (version === 0)
      for (const log of ['revocations', 'audit'] as const) await makePartitions(client, log, 0, 0, partition)
    if (version === 0) await client.query('INSERT INTO schema_version VALUES ($1)', [MIGRATIONS.length])
    else await client.query('UPDATE schema_version SET version = $1', [MIGRATIONS.length])
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

// Runs the end-to-end tests on PostgreSQL, or those whose files are named: a server from npm, a database for each authority.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '../test/postgres.ts'

/** They look into the file of the embedded store, or start processes that have one. */
const OF_SQLITE = [
  'audit-tampering',
  'bench',
  'command-line',
  'crash',
  'demo',
  'mcp-stdio',
  'move',
  'move-faults',
  'package',
  'revoke-command',
  'secrets',
  'start-messages',
]

const named = process.argv.slice(2)
const all = globSync('test/*.test.ts').filter(
  (path) => !OF_SQLITE.some((name) => path.endsWith(`/${name}.test.ts`)),
)
const server = await startPostgres(['-c', 'max_connections=400', '-c', 'shared_buffers=64MB'])
try {
  const { status } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, 'test.ts'), ...(named.length > 0 ? named : all.sort())],
    { stdio: 'inherit', env: { ...process.env, TEST_POSTGRES: server.url } },
  )
  process.exitCode = status ?? 1
} finally {
  await server.stop()
}

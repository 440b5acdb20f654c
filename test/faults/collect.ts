import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { run } from './database.ts'
import type { Final } from './final.ts'
import type { World } from './world.ts'

const CLI = join(import.meta.dirname, '../../packages/authority/src/cli.js')

/** What the database holds, and what the guards have heard. */
export async function collect(world: World): Promise<Omit<Final, 'clocksApart' | 'notReady'>> {
  const url = world.database.url()
  const rowsOf = async (sql: string) => (await run(url, sql)).rows
  const log = (await rowsOf('SELECT seq, body FROM revocations ORDER BY seq')).map(({ seq, body }) => {
    const { what, sid, reason } = JSON.parse(body)
    return { seq: Number(seq), what, sid, reason }
  })
  const [head] = await rowsOf('SELECT seq FROM heads')
  const audited = (await rowsOf("SELECT body FROM audit WHERE event = 'revocation' ORDER BY n")).map(
    ({ body }) => Number(JSON.parse(body).seq),
  )
  const sessions = await rowsOf('SELECT sid, sub, ended_seq, ended_reason FROM sessions ORDER BY pos')
  return {
    ...{ log, audited, head: Number(head.seq) },
    ...(await verifyChain(world)),
    sessions: sessions.map(({ sid, sub, ended_seq: seq, ended_reason: reason }) => ({
      ...{ sid, account: sub },
      ...(seq === null ? {} : { ended: { seq: Number(seq), reason } }),
    })),
    guards: await Promise.all(
      world.guards.map(async (guard) => {
        const { heard = [], seq = 0 } = await guard.state()
        return { guard: guard.name, heard, seq }
      }),
    ),
  }
}

/** With the command line, as its owner would. */
async function verifyChain({ folder, config, database }: World): Promise<{ chain?: string }> {
  const args = [CLI, 'audit', 'verify', '--config', join(folder, 'rescind.json')]
  const env = { ...process.env, RESCIND_STORE: database.url(), RESCIND_MASTER_KEY: config.masterKey }
  try {
    await promisify(execFile)(process.execPath, args, { env })
    return {}
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    return { chain: `${stdout}${stderr}`.trim() }
  }
}

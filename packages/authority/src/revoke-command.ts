import { createInterface } from 'node:readline/promises'
import { type Counts, carryOut, countFirst, type Order, readOrder } from './admin-revocations.ts'
import type { Confirmation } from './feed/confirm.ts'
import { receiptOf } from './receipt.ts'
import { askRunning, type Here } from './running-authority.ts'
import { UsageError } from './usage-error.ts'

const USAGE =
  'Usage: rescind revoke session SID | device ID | account EMAIL|SUB | client ID | issued-before TIME --reason TEXT'
const PATH = '/v1/admin/revocations'

type Given = {
  reason?: string
  why?: string
  client?: string
  'dry-run'?: boolean
  yes?: boolean
  json?: boolean
}
type Body = Record<string, unknown>
type Answer = Counts & { already?: true; guards?: Confirmation }

/** The order as the endpoint takes it; a wrong one is the command's fault. */
function bodyOf(kind: string, id: string | undefined, given: Given): Body {
  const body = read(kind, id, given)
  try {
    readOrder(body, Date.now())
    return body
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/**
 * `rescind revoke …`: counts what would end, asks, and ends it; through the running authority, so that it can say which
 * APIs refuse it by now, or where none runs in the store itself.
 * @throws UsageError; RescindError VALIDATION_ERROR, NOT_FOUND, UNAVAILABLE
 */
export async function revokeCommand(
  here: Here,
  [kind = '', id]: (string | undefined)[],
  given: Given,
  print: (line: string) => void,
): Promise<void> {
  const first = bodyOf(kind, id, given)
  const running = await askRunning(here, PATH, { ...first, dryRun: true })
  const counts = running ?? (await countFirst({ ...here, now: Date.now }, readOrder(first, Date.now())))
  if (given['dry-run']) {
    const { sessions, accounts, clients } = counts as Counts
    return print(
      given.json
        ? JSON.stringify({ dryRun: true, sessions, accounts, clients })
        : `This would end ${told(counts)}.`,
    )
  }
  if (!given.yes && !(await confirmed(counts))) return print('Nothing was ended.')
  // Whoever says `now` means when they said yes.
  const body = bodyOf(kind, id, given)
  const answer = running && (await askRunning(here, PATH, body, { prefer: 'wait=2' }))
  const done = (answer ?? (await directly(here, readOrder(body, Date.now())))) as Answer
  if (given.json) return print(JSON.stringify(done))
  if (done.already) return print('It had ended before; nothing changed.')
  print(`Ended ${told(done)}.`)
  for (const line of toldOfGuards(done.guards)) print(line)
}

function read(kind: string, id: string | undefined, given: Given): Body {
  const { reason, why, client } = given
  if (id === undefined) throw new UsageError(USAGE)
  if (reason === undefined) throw new UsageError('Say why with --reason TEXT; it goes to the audit log.')
  const rest = { reason, ...(why === undefined ? {} : { why }) }
  if (kind === 'issued-before') {
    const time = id === 'now' ? Date.now() : /^\d+$/.test(id) ? Number(id) : id
    return { issuedBefore: time, ...(client === undefined ? {} : { client }), ...rest }
  }
  if (client !== undefined) throw new UsageError('--client goes with issued-before alone.')
  if (!['session', 'device', 'account', 'client'].includes(kind)) throw new UsageError(USAGE)
  return { [kind]: id, ...rest }
}

async function directly(here: Here, order: Order) {
  const { outcome, counts } = await carryOut({ ...here, now: Date.now }, order, here.actor)
  return { ...receiptOf(outcome), ...counts }
}

async function confirmed(counts: Counts): Promise<boolean> {
  if (process.stdin.isTTY !== true)
    throw new UsageError(`This would end ${told(counts)}. Say --yes to do it; nothing was ended.`)
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  // Whoever ends the input instead of answering has not said yes.
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
  const answer = await Promise.race([lines.question(`This ends ${told(counts)}. Go on? [y/N] `), closed])
  lines.close()
  return /^y(es)?$/i.test(answer.trim())
}

function told({ sessions, accounts, clients }: Counts): string {
  if (sessions === undefined) return 'more sessions than could be counted at once'
  const of = `${count(accounts, 'account')} in ${count(clients, 'client')}`
  return sessions === 0 ? 'no session' : `${count(sessions, 'session')} of ${of}`
}

function toldOfGuards(guards: Confirmation | undefined): string[] {
  if (!guards) return ['No authority runs with this configuration; the one that starts next knows of it.']
  const { confirmed: done, waiting } = guards
  const late = waiting.map(({ guard, resources }) => `Not confirmed yet: ${guard} of ${resources.join(' ')}.`)
  return [`${count(done.length, 'guard')} confirmed it.`, ...late]
}

function count(n: number | undefined, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}

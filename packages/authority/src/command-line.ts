import { once } from 'node:events'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { addAccount, setPassword } from './accounts.ts'
import { type AccountCommand, accountCommand, everyAccount, isAccountCommand } from './accounts-command.ts'
import { type AuditCommand, auditCommand, isAuditCommand } from './audit-command.ts'
import { ConfigError, readConfig } from './config.ts'
import { RescindError } from './errors.ts'
import { showGuards } from './guards-command.ts'
import { isKeyCommand, type KeyCommand, keyCommand } from './keys/command.ts'
import type { MoveCommand } from './move/command.ts'
import { replayDeliveries, showDeliveries } from './notify/command.ts'
import { openData } from './open-data.ts'
import { readPassword } from './password-prompt.ts'
import { revokeCommand } from './revoke-command.ts'
import type { Here } from './running-authority.ts'
import { serve } from './serve-command.ts'
import { showSessions } from './sessions-command.ts'
import { startFailure } from './start-failure.ts'
import { type Store, StoreUnavailable } from './store/store.ts'
import { usage } from './usage.ts'
import { UsageError } from './usage-error.ts'

const OPTIONS = {
  config: { type: 'string' },
  data: { type: 'string' },
  store: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
  issuer: { type: 'string' },
  name: { type: 'string' },
  reason: { type: 'string' },
  event: { type: 'string' },
  actor: { type: 'string' },
  address: { type: 'string' },
  seq: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  file: { type: 'string' },
  anchor: { type: 'string' },
  sub: { type: 'string' },
  sid: { type: 'string' },
  limit: { type: 'string' },
  url: { type: 'string' },
  state: { type: 'string' },
  client: { type: 'string' },
  why: { type: 'string' },
  yes: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
  'all-dead': { type: 'boolean' },
  'while-running': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

type Flag = 'help' | 'version' | 'json' | 'yes' | 'dry-run' | 'all-dead' | 'while-running'
type Options = { [name in keyof typeof OPTIONS]?: name extends Flag ? boolean : string }

async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(args)
  const [command = '', action = '', operand] = positionals
  if (values.version) return print('0.1.0')
  if (values.help || command === 'help') return print(usage(command === 'help' ? action : command))
  if (command === 'accounts' && isAccountCommand(action)) return account(values, action, operand)
  if (command === 'audit' && isAuditCommand(action)) return audit(values, action)
  if (command === 'keys' && isKeyCommand(action)) return keys(values, action, operand)
  if (/^(migrate|export|import)$/.test(command)) {
    const { moveCommand } = await import('./move/command.ts')
    return moveCommand(command as MoveCommand, configFrom(values), { ...values, operand: action }, print)
  }
  if (command === 'revoke')
    return withHere(values, (here) => revokeCommand(here, [action, operand], values, print))
  switch (`${command} ${action}`.trim()) {
    case 'serve':
      return serve(() => configFrom(values))
    case 'mcp':
      return mcp(values)
    case 'doctor': {
      const { doctor } = await import('./doctor/doctor.ts')
      const options = { json: values.json === true, actor: actor() }
      if (!(await doctor(() => configFrom(values), options, print))) process.exitCode = 1
      return
    }
    case 'accounts add':
      return withNewStore(values, async (store) => {
        const email = need(operand, 'accounts add EMAIL')
        const password = await readPassword(`Password for ${email}: `)
        const name = values.name ?? email.split('@')[0] ?? email
        const account = await addAccount(store, { email, name, password }, actor(), Date.now())
        print(`Added ${account.email} (${account.sub}).`)
      })
    case 'accounts list':
      return withStore(values, async (store) => {
        for await (const { email, sub, name } of everyAccount(store)) await print(`${email}\t${sub}\t${name}`)
      })
    case 'accounts set-password':
      return withStore(values, async (store) => {
        const email = need(operand, 'accounts set-password EMAIL')
        await setPassword(
          store,
          email,
          await readPassword(`New password for ${email}: `),
          actor(),
          Date.now(),
        )
        print(`The password of ${email} is set.`)
      })
    case 'deliveries':
      return withStore(values, (store) => showDeliveries(store, values, print))
    case 'deliveries replay':
      return withStore(values, (store) =>
        replayDeliveries(store, operand, values['all-dead'] === true, print),
      )
    case 'sessions':
      wholeNumber(values.limit)
      return withHere(values, (here) => showSessions(here, values, print))
    case 'guards':
      return withHere(values, (here) => showGuards(here, values.json === true, print))
    default:
      throw new UsageError(
        command ? `There is no command "${`${command} ${action}`.trim()}".` : 'Name a command.',
      )
  }
}

function account(values: Options, action: AccountCommand, operand: string | undefined) {
  const who = action === 'review' ? '' : need(operand, `accounts ${action} EMAIL`)
  const given = { who, reason: values.reason, json: values.json === true, actor: actor() }
  return withStore(values, async (store) => print(await accountCommand(action, store, given)))
}

function audit(values: Options, action: AuditCommand) {
  wholeNumber(values.limit)
  const work = (store?: Store) =>
    auditCommand(
      action,
      async () => store as Store,
      values,
      (line) => print(line),
    )
  // A file is verified without any data.
  return action === 'verify' && values.file !== undefined ? work() : withStore(values, work)
}

function keys(values: Options, action: KeyCommand, operand: string | undefined) {
  const kid = action === 'drop' ? need(operand, 'keys drop KID') : ''
  const open = action === 'drop' ? withStore : withNewStore
  return open(values, async (store, seal) => print(await keyCommand(action, { store, seal }, kid, actor())))
}

function parse(args: string[]): { values: Options; positionals: string[] } {
  try {
    return parseArgs({ args: withIds(args), options: OPTIONS, allowPositionals: true })
  } catch (error) {
    // Node goes on about arguments that begin with a dash.
    throw new UsageError(`${(error as Error).message.split(/\.\s/, 1)[0]?.replace(/\.$/, '')}.`)
  }
}

/** Ids of ours may begin with a dash: such a one is no flag, but the operand, or the value of the flag before it. */
function withIds(args: string[]): string[] {
  const ids: string[] = []
  const rest: string[] = []
  for (const arg of args) {
    const flag = rest.at(-1)?.slice(2) as keyof typeof OPTIONS
    if (!/^-([\w-]{15}|[\w-]{21})$/.test(arg) || Object.hasOwn(OPTIONS, arg.slice(2))) rest.push(arg)
    else if (OPTIONS[flag]?.type === 'string') rest.push(`${rest.pop()}=${arg}`)
    else ids.push(arg)
  }
  return ids.length > 0 ? [...rest, '--', ...ids] : rest
}

function configFrom({ config, data, store, port, host, issuer }: Options) {
  return readConfig({ config, data, store, port, host, issuer }, withoutOwn(process.env))
}

/** Two variables are the stdio server's, not settings of an authority. */
function withoutOwn({ RESCIND_URL: _, RESCIND_ACCESS_TOKEN: __, ...rest }: NodeJS.ProcessEnv) {
  return rest
}

async function mcp(values: Options) {
  const url = values.url ?? process.env.RESCIND_URL ?? 'http://localhost:4600'
  if (!URL.canParse(url)) throw new UsageError(`--url is "${url}"; allowed: the authority's address.`)
  const { serveTools } = await import('./mcp/stdio.ts')
  serveTools({ url, accessToken: process.env.RESCIND_ACCESS_TOKEN })
}

type Work = (store: Store, seal: Awaited<ReturnType<typeof openData>>['seal']) => Promise<void>

/** The same, where there may be no data yet. */
const withNewStore = (values: Options, work: Work) => withStore(values, work, false)

async function withStore(values: Options, work: Work, existing = true) {
  const { store, seal } = await openData(configFrom(values), { serving: false, existing })
  try {
    await work(store, seal)
  } finally {
    await store.close()
  }
}

function withHere(values: Options, work: (here: Here) => Promise<void>) {
  const config = configFrom(values)
  return withStore(values, (store, seal) => work({ config, store, seal, actor: actor() }))
}

function wholeNumber(limit = '0') {
  if (!/^\d{1,10}$/.test(limit)) throw new UsageError(`--limit is "${limit}"; allowed: a whole number.`)
}

function need(operand: string | undefined, usage: string): string {
  if (!operand) throw new UsageError(`Usage: rescind ${usage}`)
  return operand
}

/** Who acts on the command line, for the audit log. */
function actor(): string {
  return `cli:${userInfo().username}`
}

/** Who has much to print waits for the reader. */
async function print(line: string) {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

// What we write is for this user only. A reader that has seen enough (`| head`) is no fault of ours.
process.umask(0o077)
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

try {
  await run(process.argv.slice(2))
} catch (error) {
  const wrong = error instanceof UsageError || error instanceof ConfigError
  const failure = startFailure(error)
  process.stderr.write(`${failure ?? (error as Error).message}\n`)
  if (error instanceof UsageError) process.stderr.write(`\n${usage(process.argv[2])}\n`)
  else if (!wrong && !failure && !(error instanceof RescindError) && !(error instanceof StoreUnavailable)) {
    process.stderr.write(`${(error as Error).stack}\n`)
  }
  process.exitCode = wrong ? 2 : 1
}

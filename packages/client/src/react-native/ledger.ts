import type { Ended, Held, QueuedLogout, Tokens } from '../platform.ts'
import type { PlainStorage, SecureStore } from './platform.ts'

/*
 * A keychain has no transactions, and an app may be killed between any two writes. So a logout is queued before the session
 * goes, and whoever reads them next finishes what was begun.
 */

const SESSION = 'rescind.session'
const OUTBOX = 'rescind.outbox'
/** A keychain outlives an uninstall, on iOS; this does not. It names the device, too. */
export const INSTALLED = 'rescind.installed'
/** A keychain’s value has 2048 bytes. That is eight logouts; more can hardly wait, and the oldest go. */
const ROOM = 2000

/** What rests. Not the access token: there is no room for it, and a new one is a refresh away. */
type Stored = {
  epoch: number
  version: number
  ended?: Ended
  /** The session has gone, and what is the app’s own may be there yet. */
  uncleared?: boolean
  tokens?: Omit<Tokens, 'accessToken' | 'expiresAt'>
}

/** What is in the keychain, and the order in which it is written. One process has it, so what is in memory is what is there. */
export function createLedger(secure: SecureStore, plain: PlainStorage) {
  let now: Held | undefined
  let uncleared = false
  let waiting: QueuedLogout[] = []
  let device: string | undefined

  /** Reads it once; finishes a logout that was cut off, and ends what another installation left. */
  async function load(): Promise<Held> {
    if (now) return now
    const stored = storedOf(await readJson(secure, SESSION))
    waiting = logoutsOf(await readJson(secure, OUTBOX))
    device = (await plain.getItem(INSTALLED)) ?? undefined
    const { tokens, uncleared: left = false, ...rest } = stored
    if (!tokens) {
      await mark()
      uncleared = left
      now = rest
      return now
    }
    const { sid } = tokens.claims
    const cutOff = waiting.find((one) => one.sid === sid)
    if (cutOff || device === undefined) {
      const reason = cutOff?.reason ?? 'app_uninstall'
      if (!cutOff) await enqueue(logoutOf(tokens.ticket, sid, reason))
      const ended = { reason, at: new Date().toISOString(), to: false as const }
      const next = { epoch: rest.epoch + 1, version: rest.version + 1, ended }
      await write({ ...next, uncleared: true })
      await mark()
      uncleared = true
      now = next
    } else now = { ...rest, tokens: { ...tokens, accessToken: '', expiresAt: 0 } }
    return now
  }

  const write = (stored: Stored) => secure.set(SESSION, JSON.stringify(stored))

  async function mark(): Promise<string> {
    if (device === undefined) {
      const id = newDevice()
      await plain.setItem(INSTALLED, id)
      device = id
    }
    return device
  }

  /** Keeps what a refresh brought. In memory at once: the former refresh token is used up, whatever the keychain does. */
  async function save(tokens: Tokens): Promise<Held> {
    const { epoch, version } = now ?? NOTHING
    now = { epoch, version: version + 1, tokens }
    await write(restingOf(now))
    return now
  }

  /** A new sign-in is there once it rests. */
  async function open(tokens: Tokens): Promise<Held> {
    const { epoch, version } = now ?? NOTHING
    const next = { epoch: epoch + 1, version: version + 1, tokens }
    await mark()
    await write(restingOf(next))
    uncleared = false
    now = next
    return now
  }

  /** Nothing of the session is left, even where a keychain can only remove. */
  async function forget(ended: Ended): Promise<void> {
    const { epoch, version } = now ?? NOTHING
    now = { epoch: epoch + 1, version: version + 1, ended }
    uncleared = true
    await write({ ...now, uncleared }).catch(() => secure.remove(SESSION))
  }

  /** What is the app’s own has been cleared, too. */
  async function cleared(): Promise<void> {
    if (!uncleared || !now) return
    await write(restingOf(now))
    uncleared = false
  }

  async function rewrite(next: QueuedLogout[]): Promise<void> {
    while (JSON.stringify(next).length > ROOM) next.shift()
    await secure.set(OUTBOX, JSON.stringify(next))
    waiting = next
  }

  const enqueue = (logout: QueuedLogout) =>
    rewrite([...waiting.filter(({ sid }) => sid !== logout.sid), logout])

  return {
    ...{ load, save, open, forget, cleared, enqueue },
    /** Goes on without what can’t be read. */
    reset: () => {
      now ??= NOTHING
      return now
    },
    dequeue: (gone: string) => rewrite(waiting.filter(({ sid }) => sid !== gone)),
    queued: () => waiting,
    uncleared: () => (uncleared ? now?.ended : undefined),
    device: mark,
  }
}

const NOTHING: Held = { epoch: 0, version: 0 }

function restingOf({ tokens, ...rest }: Held): Stored {
  if (!tokens) return rest
  const { accessToken: _, expiresAt: __, ...resting } = tokens
  return { ...rest, tokens: resting }
}

/** @returns nothing, when it is not JSON */
async function readJson(secure: SecureStore, key: string): Promise<unknown> {
  const text = await secure.get(key)
  try {
    return text === null ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What is not whole is nothing: nobody is signed in by halves. */
function storedOf(value: unknown): Stored {
  const stored = value as Stored | undefined
  if (typeof stored?.epoch !== 'number' || typeof stored.version !== 'number') return NOTHING
  const { tokens, ...rest } = stored
  const { ticket, claims } = tokens ?? {}
  const whole = [ticket, claims?.sub, claims?.sid].every((one) => typeof one === 'string')
  return whole ? stored : rest
}

function logoutsOf(value: unknown): QueuedLogout[] {
  if (!Array.isArray(value)) return []
  return value.filter((one) => typeof one?.sid === 'string' && typeof one.ticket === 'string')
}

export function logoutOf(ticket: string, sid: string, reason: string): QueuedLogout {
  return { sid, ticket, reason, at: Date.now(), attempts: 0, notBefore: 0 }
}

/** It tells one phone of a person from another, and is no secret; not every engine of phones has `crypto`. */
function newDevice(): string {
  const some = () => Math.random().toString(36).slice(2, 12)
  return `${some()}-${some()}-${some()}`
}

import { logoutOf } from '../outbox.ts'
import type { Ended, Held, Tokens } from '../platform.ts'
import { createInstalled } from './installed.ts'
import type { PlainStorage, SecureStore } from './platform.ts'
import { NOTHING, readJson, restingOf, type Stored, storedOf } from './rested.ts'
import { createWaiting } from './waiting.ts'

/*
 * A keychain has no transactions, and an app may be killed between any two writes. So a logout is queued before the session
 * goes, and whoever reads them next finishes what was begun.
 */

const KEY = 'rescind.session'

/** What is in the keychain, and the order in which it is written. One process has it, so what is in memory is what is there. */
export function createLedger(secure: SecureStore, plain: PlainStorage) {
  const waiting = createWaiting(secure)
  const installed = createInstalled(plain)
  let now: Held | undefined
  let uncleared = false
  const write = (stored: Stored) => secure.set(KEY, JSON.stringify(stored))
  const next = () => {
    const { epoch, version } = now ?? NOTHING
    return { epoch, version: version + 1 }
  }

  /** Reads it once; finishes a logout that was cut off, and ends what another installation left. */
  async function load(): Promise<Held> {
    if (now) return now
    const { uncleared: left, tokens, ...rest } = storedOf(await readJson(secure, KEY))
    await waiting.load()
    const here = await installed.load()
    const { sid = '' } = tokens?.claims ?? {}
    const cutOff = waiting.of(sid)
    if (tokens && !cutOff && !here) await waiting.put(logoutOf(tokens.ticket, sid, 'app_uninstall'))
    const reason = cutOff?.reason ?? 'app_uninstall'
    const over = tokens && (cutOff || !here)
    const ended = { reason, at: new Date().toISOString(), to: false as const }
    const found = over ? { epoch: rest.epoch + 1, version: rest.version + 1, ended } : rest
    if (over) await write({ ...found, uncleared: true })
    uncleared = over ? true : left === true
    now = tokens && !over ? { ...rest, tokens: { ...tokens, accessToken: '', expiresAt: 0 } } : found
    return now
  }

  return {
    ...{ waiting, load, device: installed.mark },
    /** Goes on without what can’t be read. */
    reset() {
      now ??= NOTHING
      return now
    },
    /** Keeps what a refresh brought. In memory at once: the former refresh token is used up, whatever the keychain does. */
    async save(tokens: Tokens): Promise<Held> {
      now = { ...next(), tokens }
      await write(restingOf(now))
      return now
    },
    /** A new sign-in is there once it rests. */
    async open(tokens: Tokens): Promise<Held> {
      const { epoch, version } = next()
      const opened = { epoch: epoch + 1, version, tokens }
      await installed.mark()
      await write(restingOf(opened))
      uncleared = false
      now = opened
      return now
    },
    /** Nothing of the session is left, even where a keychain can only remove. */
    async forget(ended: Ended): Promise<void> {
      const { epoch, version } = next()
      now = { epoch: epoch + 1, version, ended }
      uncleared = true
      await write({ ...now, uncleared }).catch(() => secure.remove(KEY))
    },
    /** How it ended, when what is the app’s own may be there yet. */
    uncleared: () => (uncleared ? now?.ended : undefined),
    async cleared(): Promise<void> {
      if (!uncleared || !now) return
      await write(restingOf(now))
      uncleared = false
    },
  }
}

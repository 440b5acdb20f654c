import type { Ended, Held, Tokens } from '../platform.ts'
import type { SecureStore } from './platform.ts'

/** What rests of a session. Not the access token: there is no room for it, and a new one is a refresh away. */
export type Stored = {
  epoch: number
  version: number
  ended?: Ended
  /** The session has gone, and what is the app’s own may be there yet. */
  uncleared?: boolean
  tokens?: Omit<Tokens, 'accessToken' | 'expiresAt'>
}

export const NOTHING: Held = { epoch: 0, version: 0 }

export function restingOf({ tokens, ...rest }: Held): Stored {
  if (!tokens) return rest
  const { accessToken: _, expiresAt: __, ...resting } = tokens
  return { ...rest, tokens: resting }
}

/** What is not whole is nothing: nobody is signed in by halves. */
export function storedOf(value: unknown): Stored {
  const stored = value as Stored | undefined
  if (typeof stored?.epoch !== 'number' || typeof stored.version !== 'number') return NOTHING
  const { tokens, ...rest } = stored
  const { ticket, claims } = tokens ?? {}
  const whole = [ticket, claims?.sub, claims?.sid].every((one) => typeof one === 'string')
  return whole ? stored : rest
}

/** @returns nothing, when it is not JSON */
export async function readJson(secure: SecureStore, key: string): Promise<unknown> {
  const text = await secure.get(key)
  try {
    return text === null ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

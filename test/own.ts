import type { ListedDevice } from '../packages/authority/src/own-devices.ts'
import type { ListedSession } from '../packages/authority/src/own-sessions.ts'
import type { Tokens } from './sign-in.ts'

export const CHROME =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36'
export const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1'

type Answer = { status: number; headers: Headers; body: Record<string, unknown>; text: string }

/** Asks the authority as the holder of these tokens does: `ask(issuer, tokens, 'DELETE /v1/sessions/…')`. */
export async function ask(
  issuer: string,
  tokens: Pick<Tokens, 'access_token'> | undefined,
  what: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const [method = '', path = ''] = what.split(' ')
  const response = await fetch(issuer + path, {
    method,
    headers: {
      ...(tokens ? { authorization: `Bearer ${tokens.access_token}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: JSON.parse(text || '{}'), text }
}

export async function sessionsOf(issuer: string, tokens: Pick<Tokens, 'access_token'>) {
  const { body } = await ask(issuer, tokens, 'GET /v1/sessions')
  return (body as { sessions: ListedSession[] }).sessions
}

export async function devicesOf(issuer: string, tokens: Pick<Tokens, 'access_token'>) {
  const { body } = await ask(issuer, tokens, 'GET /v1/devices')
  return (body as { devices: ListedDevice[] }).devices
}

export function sidOf({ access_token: token }: Pick<Tokens, 'access_token'>): string {
  return JSON.parse(Buffer.from(`${token.split('.')[1]}`, 'base64url').toString()).sid
}

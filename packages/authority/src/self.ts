import inject from 'light-my-request'
import type { Authority } from './authority.ts'
import { RescindError } from './errors.ts'

export type SelfAnswer = { status: number; body: unknown }

/**
 * Asks ourselves, through the same door as everybody else but without a socket: what the tools do to tokens is
 * what the endpoints do.
 * @param address whom it is asked for
 * @throws RescindError RATE_LIMITED, where the door is shut for that address
 */
export async function selfRequest(
  authority: Authority,
  address: string,
  request: {
    method: 'GET' | 'POST'
    url: string
    form?: Record<string, string>
    headers?: Record<string, string>
  },
): Promise<SelfAnswer> {
  const { method, url, form, headers = {} } = request
  const { host } = new URL(authority.config.issuer)
  const response = await inject((req, res) => void authority.listener(req as never, res as never), {
    method,
    url,
    remoteAddress: address,
    headers: {
      host,
      accept: 'application/json',
      ...(authority.config.trustProxy ? { 'x-forwarded-for': address } : {}),
      ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      ...headers,
    },
    ...(form ? { payload: new URLSearchParams(form).toString() } : {}),
  })
  if (response.statusCode === 429) {
    const seconds = Number(response.headers['retry-after']) || 1
    throw new RescindError('RATE_LIMITED', `Too many attempts. Try again in ${seconds} s.`, seconds)
  }
  return { status: response.statusCode, body: JSON.parse(response.payload || '{}') }
}

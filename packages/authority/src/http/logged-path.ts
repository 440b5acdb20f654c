import type { IncomingMessage } from 'node:http'

/**
 * The path of a request as a log may have it: words stay, ids do not, as some of them open something (that of an interaction is
 * the value of its cookie).
 */
export function loggedPath({ url = '' }: IncomingMessage): string {
  const segments = url.slice(0, 500).split(/[?#]/, 1)[0]?.split('/') ?? []
  return segments.map((one) => (/^([a-z.-]*|[a-z0-9.-]{1,8})$/.test(one) ? one : '*')).join('/')
}

import { lookup } from 'node:dns'
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** So much of an answer is read, and thrown away, in bytes. */
const MAX_ANSWER = 64 * 1024

export type Answer = { status: number; retryAfter?: string }

export type Post = {
  headers: Record<string, string>
  body: string
  /** Whether the receiver may be in this network: only the configuration can say so. */
  anywhere: boolean
  signal: AbortSignal
}

/**
 * Posts to a URL and resolves with what the answer's head says. Redirects are not followed, the body is ignored.
 * @throws when it can't be reached, the signal fires, or its address is not one of the public internet
 */
export function post(url: string, { headers, body, anywhere, signal }: Post): Promise<Answer> {
  const target = new URL(url)
  const host = target.hostname.replace(/^\[|\]$/g, '')
  // For an address there is no look-up that could refuse it.
  if (!anywhere && isIP(host) && !isPublic(host)) return Promise.reject(new NotPublic())
  const options: RequestOptions = {
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body), 'user-agent': 'Rescind' },
    agent: false,
    signal,
    ...(anywhere ? {} : { lookup: publicLookup }),
  }
  return new Promise((resolve, reject) => {
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest
    const req = send(target, options, (res) => {
      const retryAfter = res.headers['retry-after']
      resolve({ status: res.statusCode ?? 0, ...(retryAfter === undefined ? {} : { retryAfter }) })
      let read = 0
      res.on('error', () => {})
      res.on('data', (bytes: Buffer) => {
        read += bytes.length
        if (read > MAX_ANSWER) req.destroy()
      })
    })
    req.on('error', reject)
    req.end(body)
  })
}

export class NotPublic extends Error {
  constructor() {
    super('its address is not a public one')
  }
}

/** Resolves a name, and refuses it when any of its addresses is not public; the connection goes to what was checked. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const [first] = addresses ?? []
    if (error || !first) return callback(error ?? new Error('the name has no address'), '', 0)
    if (!addresses.every(({ address }) => isPublic(address))) return callback(new NotPublic(), '', 0)
    if (options.all) callback(null, addresses)
    else callback(null, first.address, first.family)
  })
}

const SPECIAL_V4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
]
/** Within 2000::/3, which is all of IPv6 that is public: tunnels that could lead home, documentation, benchmarks. */
const SPECIAL_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

const special = new BlockList()
const globalV6 = new BlockList()
globalV6.addSubnet('2000::', 3, 'ipv6')
for (const [ranges, family] of [
  [SPECIAL_V4, 'ipv4'],
  [SPECIAL_V6, 'ipv6'],
] as const) {
  for (const range of ranges) {
    const [base = '', bits] = range.split('/')
    special.addSubnet(base, Number(bits), family)
  }
}

/** Whether an address is one of the public internet (the special-purpose registries of RFC 6890 are not). */
export function isPublic(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, 'ipv4')
  return isIP(address) === 6 && globalV6.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

// The load: a process of its own, so that what it costs is not the server’s.
import { type HttpConnection, openConnection, requestBytes } from './http-connection.ts'
import { ticks } from './measure.ts'
import { serveCommands } from './worker.ts'

export type Load = {
  port: number
  host: string
  path: string
  headers: string[]
  connections: number
  /** What is sent, each once or over and over; in a chain refresh tokens, each of which makes place for the one that is answered. */
  bodies: string[]
  /** Each goes as a bearer token, in a request that has no body. */
  bearer?: boolean
  /** Stop after so long, in s; else when all were sent once. */
  seconds?: number
  /** Answers that have this in their body are counted. */
  counted?: string
  /** In a chain the body has this before and after what the answer’s `refresh_token` is. */
  chain?: { before: string; after: string }
}

export type Loaded = {
  count: number
  seconds: number
  /** How many answers of each status. */
  statuses: Record<string, number>
  /** In ms. */
  p50: number
  p99: number
  /** CPU of the load, in s. */
  cpu: number
  /** In a chain: the tokens as they are then, and the access tokens that came with them. */
  last: string[]
  access: string[]
  /** How many answers had what was to be counted. */
  having: number
  /** The first few bodies of answers. */
  samples: string[]
}

const NEXT = /"refresh_token":"([^"]+)"/
const ACCESS = /"access_token":"([^"]+)"/

async function run(load: Load): Promise<Loaded> {
  const { port, host, path, headers, connections, bodies, seconds, chain, bearer, counted } = load
  const open = await Promise.all(Array.from({ length: connections }, () => openConnection(port)))
  const make = (body: string) =>
    bearer
      ? requestBytes('GET', path, host, [...headers, `authorization: Bearer ${body}`])
      : requestBytes('POST', path, host, headers, body)
  const requests = chain ? [] : bodies.map(make)
  const statuses: Record<string, number> = {}
  const samples: string[] = []
  const tokens = [...bodies]
  const access: string[] = []
  const times: number[] = []
  let index = 0
  let having = 0
  const cpu = process.cpuUsage()
  const began = ticks()
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : began + seconds * 1e9

  async function drive(connection: HttpConnection) {
    for (;;) {
      if (seconds === undefined && index >= bodies.length) return
      const n = index++ % bodies.length
      const request = chain ? make(chain.before + tokens[n] + chain.after) : requests[n]
      const start = ticks()
      if (start > end) return
      const { status, body } = await connection.send(request as Buffer)
      times.push(ticks() - start)
      statuses[status] = (statuses[status] ?? 0) + 1
      if (samples.length < 3) samples.push(body)
      if (counted !== undefined && body.includes(counted)) having++
      if (chain) {
        const [, next] = NEXT.exec(body) ?? []
        if (next === undefined) return
        tokens[n] = next
        access[n] = ACCESS.exec(body)?.[1] ?? ''
      }
    }
  }
  await Promise.all(open.map(drive))
  const took = (ticks() - began) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  for (const connection of open) connection.close()
  const sorted = Float64Array.from(times).sort()
  const at = (share: number) =>
    (sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN) / 1e6
  return {
    ...{ count: times.length, seconds: took, statuses, samples, having, last: chain ? tokens : [], access },
    ...{ p50: at(0.5), p99: at(0.99), cpu: (user + system) / 1e6 },
  }
}

serveCommands({ run: (command: Load) => run(command) })

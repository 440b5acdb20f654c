import { request } from 'node:http'
import type { Ask, Asked, Peer } from './peer-list.ts'
import { canPin, startWorker, type Worker } from './worker.ts'

/* A peer in a process of its own, and how it is asked one thing at a time. */

export type Pair = { accessToken: string; refreshToken?: string }
export type Answered = { status: number; body: string }

export type PeerServer = Worker & {
  port: number
  pid: number
  peer: Peer
  issue(count: number, jwt?: boolean): Promise<Pair[]>
  /** One request outside of any measurement. @param more of the form */
  send(operation: Asked, token: string, more?: string): Promise<Answered>
  get(path: string): Promise<Answered>
  /** Ends it as `kill -9` does. */
  kill(): Promise<void>
}

export async function startPeer(peer: Peer, open: Record<string, unknown>): Promise<PeerServer> {
  const worker = startWorker(peer.file, [], { pinned: canPin() })
  const { port, pid } = await worker.ask<{ port: number; pid: number }>({ do: 'open', ...open })
  return {
    ...worker,
    ...{ port, pid, peer },
    issue: (count, jwt = false) => worker.ask<Pair[]>({ do: 'issue', count, jwt }),
    send(operation, token, more = '') {
      const ask = peer.asks[operation] as Ask
      const headers = ask.bearer ? [`authorization: Bearer ${token}`] : ask.headers
      return exchange(
        port,
        ask.bearer ? 'GET' : 'POST',
        ask.path,
        headers,
        ask.bearer ? '' : `${ask.before}${token}${more}`,
      )
    },
    get: (path) => exchange(port, 'GET', path, [], ''),
    async kill() {
      process.kill(pid, 'SIGKILL')
      await worker.stop()
    },
  }
}

function exchange(port: number, method: string, path: string, lines: string[], body: string) {
  const headers = Object.fromEntries(lines.map((line) => line.split(': ', 2)))
  return new Promise<Answered>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part) => {
        text += part
      })
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, body: text }))
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

import { connect, type Socket } from 'node:net'

/*
 * HTTP/1.1 on one kept connection, with as little of its own as can be: a load generator that costs more than the server
 * measures itself.
 */

export type Answer = { status: number; body: string }
export type HttpConnection = {
  /** Sends one request and waits for its answer; one at a time. */
  send(request: Buffer): Promise<Answer>
  close(): void
}

type Waiter = { resolve(answer: Answer): void; reject(error: Error): void }

/** A request as it goes over the wire. @param headers lines without their ends */
export function requestBytes(
  method: string,
  path: string,
  host: string,
  headers: string[],
  body = '',
): Buffer {
  const length = body === '' ? [] : [`content-length: ${Buffer.byteLength(body)}`]
  const head = [
    `${method} ${path} HTTP/1.1`,
    `host: ${host}`,
    'connection: keep-alive',
    ...headers,
    ...length,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

export async function openConnection(port: number): Promise<HttpConnection> {
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  socket.setEncoding('latin1')
  let text = ''
  let waiter: Waiter | undefined
  socket.on('data', (part: string) => {
    text = text === '' ? part : text + part
    const end = endOf(text)
    if (end === undefined || !waiter) return
    const { resolve } = waiter
    const answer = { status: Number(text.slice(9, 12)), body: end.body }
    waiter = undefined
    text = ''
    resolve(answer)
  })
  const fail = () => waiter?.reject(new Error('the connection was closed'))
  socket.on('error', fail)
  socket.on('close', fail)
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        waiter = { resolve, reject }
        socket.write(request)
      }),
    close: () => socket.destroy(),
  }
}

/** The body of an answer that is whole. */
function endOf(text: string): { body: string } | undefined {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const headers = text.slice(0, head).toLowerCase()
  const body = text.slice(head + 4)
  const [, length] = /\r\ncontent-length: *(\d+)/.exec(headers) ?? []
  if (length !== undefined) return body.length >= Number(length) ? { body } : undefined
  if (headers.includes('transfer-encoding: chunked'))
    return body.endsWith('0\r\n\r\n') ? { body: unchunked(body) } : undefined
  return { body: '' }
}

function unchunked(body: string): string {
  let whole = ''
  for (let at = 0; ; ) {
    const line = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.slice(at, line), 16)
    if (!(size > 0)) return whole
    whole += body.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

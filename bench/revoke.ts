import { Agent, request } from 'node:http'
import type { Opened } from './fill.ts'

/** One kept connection to the authority, for revocations. */
export type Revoker = { revoke(tokens: Opened): Promise<void>; close(): void }

/** Sends `POST /v1/revoke` as an app does, over HTTP. */
export function createRevoker(issuer: string): Revoker {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const { hostname, port } = new URL(issuer)
  return {
    revoke: ({ accessToken, refreshToken }) =>
      new Promise((resolve, reject) => {
        const body = JSON.stringify({ accessToken, refreshToken })
        const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
        const req = request({ agent, hostname, port, path: '/v1/revoke', method: 'POST', headers }, (res) => {
          let text = ''
          res.setEncoding('utf8')
          res.on('data', (part: string) => {
            text += part
          })
          res.on('end', () => {
            if (res.statusCode === 200) resolve()
            else reject(new Error(`POST /v1/revoke answered ${res.statusCode}: ${text}`))
          })
        })
        req.on('error', reject)
        req.end(body)
      }),
    close: () => agent.destroy(),
  }
}

/** Revokes all of these, one after the other. */
export async function revokeOver(issuer: string, all: readonly Opened[]): Promise<void> {
  const revoker = createRevoker(issuer)
  for (const tokens of all) await revoker.revoke(tokens)
  revoker.close()
}

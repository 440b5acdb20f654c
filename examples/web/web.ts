import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { build } from 'esbuild'

export interface ExampleWebOptions {
  /** 0 takes any free port. */
  port: number
  issuer: string
  /** A public client, whose redirect URIs are `http://127.0.0.1:<port>/callback` and `…/notes/callback`. */
  clientId: string
  /** Where the API answers: `GET {api}/notes` and `GET {api}/events`. */
  api: string
  /** What the tokens are asked for (RFC 8707). */
  resource: string
}

export interface ExampleWeb {
  url: string
  close(): Promise<void>
}

/** Every address that answers, and what it answers with. Nothing else on the disk can be asked for. */
const files = new Map<string, { name: string; type: string }>([
  ['/', { name: 'index.html', type: 'text/html; charset=utf-8' }],
  ['/callback', { name: 'index.html', type: 'text/html; charset=utf-8' }],
  ['/app.js', { name: 'app.js', type: 'text/javascript; charset=utf-8' }],
  ['/oauth.js', { name: 'oauth.js', type: 'text/javascript; charset=utf-8' }],
  ['/api.js', { name: 'api.js', type: 'text/javascript; charset=utf-8' }],
  ['/view.js', { name: 'view.js', type: 'text/javascript; charset=utf-8' }],
  ['/style.css', { name: 'style.css', type: 'text/css; charset=utf-8' }],
  ['/notes', { name: 'notes.html', type: 'text/html; charset=utf-8' }],
  ['/notes/callback', { name: 'notes.html', type: 'text/html; charset=utf-8' }],
  ['/logo.svg', { name: 'logo.svg', type: 'image/svg+xml' }],
])

/** Serves the app to this machine only. The app itself is in `public/`, as the browser runs it. */
export async function startExampleWeb(options: ExampleWebOptions): Promise<ExampleWeb> {
  const { port, issuer, clientId, api, resource } = options
  const policy = contentSecurityPolicy(issuer, api)
  const notes = await bundled('public/notes.js')
  let url = ''

  const server = createServer((request, response) => {
    response.setHeader('content-security-policy', policy)
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('referrer-policy', 'no-referrer')
    response.setHeader('cross-origin-opener-policy', 'same-origin')
    response.setHeader('cache-control', 'no-store')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      return sendText(response, 405, 'Only GET and HEAD are answered here.')
    }
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    // One origin only: what the browser remembers under `localhost` is not there under `127.0.0.1`.
    if (request.headers.host !== new URL(url).host) {
      response.setHeader('location', files.has(path) ? url + path : url)
      return sendText(response, 307, `This app is at ${url}`)
    }
    if (path === '/config.json') {
      const config = { issuer, clientId, api, resource, redirectUri: `${url}/callback` }
      response.setHeader('content-type', 'application/json')
      return response.end(JSON.stringify(config))
    }
    if (path === '/notes.js') {
      response.setHeader('content-type', 'text/javascript; charset=utf-8')
      return response.end(notes)
    }
    const file = files.get(path)
    if (!file) return sendText(response, 404, 'There is nothing here.')
    readFile(new URL(`public/${file.name}`, import.meta.url)).then(
      (content) => {
        response.setHeader('content-type', file.type)
        response.end(content)
      },
      () => sendText(response, 500, 'The file could not be read.'),
    )
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      resolve()
    })
  })

  return {
    url,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeAllConnections()
      }),
  }
}

/** A module with all that it imports: what apps get from their bundler. */
async function bundled(path: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path],
    absWorkingDir: import.meta.dirname,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  })
  return outputFiles[0]?.text ?? ''
}

function contentSecurityPolicy(issuer: string, api: string): string {
  const origins = new Set([new URL(issuer).origin, new URL(api).origin])
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${[...origins].join(' ')}`,
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`${text}\n`)
}

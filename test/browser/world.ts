import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { WebSocketServer } from 'ws'
import { startExampleApi } from '../../examples/api/api.ts'
import { bundle } from '../../tools/bundle.ts'
import { API, API_GUARD, freePort, PERSON, startTestAuthority, type TestAuthority } from '../setup.ts'
import { type Front, startFront } from './front.ts'

/* Everything that an app of this client meets: its own server, an API behind a guard, and the authority behind a network. */

export const SPA = 'spa'

export type World = {
  authority: TestAuthority
  front: Front
  /** The app’s address. */
  app: string
  api: string
  /** What the next page gives its client besides. */
  configure(options: Record<string, unknown>): void
  /** How many sockets of the app’s own server are open. */
  sockets(): number
  /** Every revocation in the audit log. */
  revocations(): Promise<{ sid?: string; seq?: number; reason?: string; actor: string }[]>
  /** Ends a session as another device does. */
  end(sid: string, reason?: string): Promise<void>
  stop(): Promise<void>
}

const TYPES: Record<string, string> = { js: 'text/javascript', html: 'text/html; charset=utf-8' }

export async function startWorld(): Promise<World> {
  let more: Record<string, unknown> = {}
  const [client, worker] = await Promise.all([
    bundle('packages/client/src/index.ts'),
    bundle('packages/client/src/worker.ts'),
  ])
  const files: Record<string, string> = { '/client.js': client, '/worker.js': worker }
  for (const name of ['index.html', 'app.js', 'sw.js'])
    files[`/${name}`] = readFileSync(join(import.meta.dirname, 'app', name), 'utf8')
  for (const path of ['/', '/callback', '/login', '/private']) files[path] = files['/index.html'] as string
  const server = createServer((req, res) => {
    const path = req.url?.split('?', 1)[0] ?? '/'
    const text =
      path === '/config.js' ? `export default ${JSON.stringify({ ...config, ...more })}` : files[path]
    const type = TYPES[path.split('.')[1] ?? (path === '/config.js' ? 'js' : 'html')]
    res.setHeader(
      'content-security-policy',
      `default-src 'self'; connect-src 'self' ${config.authority} ${config.api} ${ws}`,
    )
    if (text === undefined) return res.writeHead(404).end()
    res.writeHead(200, { 'content-type': type }).end(text)
  })
  const sockets = new WebSocketServer({ server })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const app = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const ws = app.replace('http', 'ws')

  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const spa = {
    ...{ client_id: SPA, client_name: 'The app', redirect_uris: [`${app}/callback`] },
    ...{ token_endpoint_auth_method: 'none' as const, firstParty: true },
  }
  const authority = await startTestAuthority({ issuer, clients: [spa] as never, logLevel: 'silent' })
  const front = await startFront(port, Number(new URL(authority.url).port))
  const credentials = API_GUARD
  const api = await startExampleApi({ port: 0, issuer, audience: API, credentials, origins: [app] })
  const config = {
    ...{ authority: issuer, clientId: SPA, redirectUri: `${app}/callback`, scope: 'openid notes:read' },
    ...{ resource: API, origins: [api.url], keep: ['shell'], api: api.url, socket: ws },
  }
  return {
    ...{ authority, front, app, api: api.url },
    configure(options) {
      more = options
    },
    sockets: () => sockets.clients.size,
    async revocations() {
      const filter = { event: 'revocation' as const, limit: 1000 }
      return authority.authority.store.read({ kind: 'audit', filter } as never)
    },
    async end(sid, reason = 'device_removed') {
      const { store, now, feed } = authority.authority
      const request = { by: { kind: 'session', sid }, actor: 'test', reason } as never
      await store.transact({ kind: 'revoke', request, at: now() })
      // The API has heard of it.
      while (feed.guards().some(({ behind }) => behind > 0))
        await new Promise((resolve) => setTimeout(resolve, 5))
    },
    async stop() {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await Promise.all([api.close(), front.stop(), new Promise((resolve) => server.close(resolve))])
      await authority.stop()
    },
  }
}

/** Runs in the page; what it says is a promise there. */
export function run<T>(page: Page, code: string): Promise<T> {
  return page.evaluate(`(async () => { const { client } = app; ${code} })()`) as Promise<T>
}

/** Signs in through the authority’s own page, and ends at the app. */
export async function signIn({ app }: World, page: Page, person = PERSON): Promise<void> {
  if (new URL(page.url()).origin !== app) await page.goto(`${app}/login`)
  await until(page, 'globalThis.app')
  await run(page, 'client.signIn()')
  await page.waitForURL((url) => url.origin !== app)
  await page.fill('input[name=email]', person.email)
  await page.fill('input[name=password]', person.password)
  await page.click('button.primary')
  await signedIn(page)
}

export function signedIn(page: Page): Promise<void> {
  return until(page, "globalThis.app?.client.state().status === 'signed-in' && app.done")
}

/** Resolves once an expression is true in the page, whatever page that is by then; fails after 15 s. */
export async function until(page: Page, expression: string): Promise<void> {
  const end = Date.now() + 15_000
  for (;;) {
    // A page that is just being left has no answer.
    const value = await page.evaluate(`Promise.resolve(${expression}).catch(() => false)`).catch(() => false)
    if (value) return
    if (Date.now() > end) throw new Error(`${expression} did not become true at ${page.url()}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}

/**
 * Stops the process of a tab as a system does that needs its memory and its power for others. Nothing reaches it.
 * @returns lets it go on
 */
export async function freeze(browser: Browser, page: Page, others: Page[]): Promise<() => void> {
  const chrome = await browser.newBrowserCDPSession()
  const { processInfo } = await chrome.send('SystemInfo.getProcessInfo')
  const answers = (one: Page) =>
    Promise.race([one.evaluate('true'), new Promise((resolve) => setTimeout(resolve, 500, false))])
  for (const { id } of processInfo.filter(({ type }) => type === 'renderer')) {
    process.kill(id, 'SIGSTOP')
    const alive = await Promise.all(others.map(answers))
    if (alive.every(Boolean) && !(await answers(page))) return () => process.kill(id, 'SIGCONT')
    process.kill(id, 'SIGCONT')
  }
  throw new Error('no process that is this tab’s alone')
}

/** The sid and the tokens that the page holds, for the test to try. */
/** Everything that must not be found once somebody has logged out. */
export async function secretsOf(page: Page) {
  const refreshed = page.waitForResponse(
    async (response) => response.url().endsWith('/oauth/token') && response.status() === 200,
  )
  await run(page, 'await app.expire(); await app.show()')
  const { access_token, refresh_token } = await (await refreshed).json()
  const { sid, sub } = await run<{ sid: string; sub: string }>(page, 'return client.state()')
  return { sid, sub, accessToken: `${access_token}`, refreshToken: `${refresh_token}` }
}

export function tokensOf(page: Page): Promise<{ accessToken: string; sid: string }> {
  return run(page, 'return { sid: client.state().sid, accessToken: await app.accessToken() }')
}

/** All that the browser has stored for the app, as text. */
export async function dump(context: BrowserContext, page: Page): Promise<string> {
  const inside = await run<string>(page, 'return await app.dump()')
  return `${inside} ${JSON.stringify(await context.cookies(page.url()))}`
}

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'
import { createGuard, type Guard } from '@rescind/guard'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchChromium } from '../chromium.ts'
import { signInOn } from '../page-visits.ts'
import { API, API_GUARD, PERSON, startTestAuthority, type TestAuthority } from '../setup.ts'
import { post, signIn } from '../sign-in.ts'
import { until } from './world.ts'

/* The live view of the console, with a guard that really confirms. */

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

describe('the live view', () => {
  let authority: TestAuthority
  let guard: Guard
  let browser: Browser
  before(async () => {
    authority = await startTestAuthority({
      logLevel: 'silent',
      admins: [PERSON.email],
      webhooks: [{ url: 'http://127.0.0.1:9/', secret: `whsec_${'A'.repeat(43)}=` }],
    } as never)
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
    browser = await launchChromium()
  })
  after(async () => {
    await browser.close()
    guard.close()
    await authority.stop()
  })

  async function revokeOne() {
    const tokens = await signIn(authority.issuer)
    await post(`${authority.issuer}/v1/revoke`, {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
    })
  }
  async function open(
    options: Parameters<Browser['newContext']>[0] = {},
  ): Promise<[Page, BrowserContext, string[]]> {
    const context = await browser.newContext({ locale: 'en-GB', ...options })
    const page = await context.newPage()
    const reports: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error' || /Content Security Policy/i.test(message.text()))
        reports.push(message.text())
    })
    page.on('pageerror', (error) => reports.push(error.message))
    await page.goto(`${authority.issuer}/admin/live`)
    await signInOn(page)
    await page.waitForURL(/\/admin/)
    await page.goto(`${authority.issuer}/admin/live`)
    return [page, context, reports]
  }

  it('shows what is revoked as it happens, as a graph and as a table', async () => {
    const [page, context, reports] = await open()
    await page.waitForSelector('#live-state:text("Live")')
    await revokeOne()
    await page.waitForSelector('#reasons-graph canvas')
    await page.waitForSelector('#guards-graph canvas')
    await page.click('#reasons-table summary')
    assert.match(`${await page.textContent('#reasons-table')}`, /Logged out\s*\d/)
    assert.match(`${await page.textContent('#guards-table')}`, /api\.example.*ms.*up to date/)
    const before = Number(await page.textContent('#reasons-table tbody tr:first-child td:last-child'))
    await revokeOne()
    // A slot may end in between: then it is a row of its own.
    await until(
      page,
      `[...document.querySelectorAll('#reasons-table tbody td:last-child')].reduce((sum, one) => sum + Number(one.textContent), 0) > ${before}`,
    )
    assert.equal(await page.isVisible('#reasons-table table'), true, 'a table that was opened stays open')
    await page.waitForSelector('#failed-graph canvas')
    assert.match(`${await page.textContent('#deliveries')}`, /[1-9]\d* waiting, 0 given up/)
    assert.deepEqual(reports, [])
    await context.close()
  })

  for (const colorScheme of ['light', 'dark'] as const)
    it(`has nothing that axe finds, and fits 320 pixels (${colorScheme})`, async () => {
      await revokeOne()
      const [page, context, reports] = await open({ colorScheme, viewport: { width: 320, height: 700 } })
      await page.waitForSelector('#reasons-graph canvas')
      await page.evaluate(AXE)
      const { violations } = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as {
        violations: { id: string; nodes: { html: string }[] }[]
      }
      assert.deepEqual(
        violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
        [],
      )
      assert.ok(Number(await page.evaluate('document.documentElement.scrollWidth')) <= 320)
      assert.deepEqual(reports, [])
      await context.close()
    })

  it('has its tables without JavaScript', async () => {
    await revokeOne()
    const [page, context] = await open({ javaScriptEnabled: false })
    assert.match(`${await page.textContent('main')}`, /Logged out/)
    assert.match(`${await page.textContent('main')}`, /Without JavaScript/)
    assert.match(`${await page.textContent('#guards-table')}`, /up to date/)
    await context.close()
  })

  it('says so when the authority is away, and goes on when it is back', async () => {
    const [page, context] = await open()
    await page.waitForSelector('#live-state:text("Live")')
    await context.setOffline(true)
    await page.waitForSelector('#live-state:text("No new figures")')
    await context.setOffline(false)
    await page.waitForSelector('#live-state:text("Live")')
    await context.close()
  })

  it('is for administrators, and so are its figures', async () => {
    for (const path of ['/admin/live', '/admin/live/data']) {
      const answer = await fetch(`${authority.issuer}${path}`, { redirect: 'manual' })
      assert.equal(answer.status, 303)
    }
    const other = await startTestAuthority({ logLevel: 'silent', admins: ['else@example.com'] })
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${other.issuer}/admin/live`)
    await signInOn(page)
    await page.waitForSelector('main')
    const answer = await page.goto(`${other.issuer}/admin/live/data`)
    assert.equal(answer?.status(), 403)
    await context.close()
    await other.stop()
  })

  it('is the one page that may run a script, and only ours', async () => {
    const [page, context] = await open()
    const live = await page.goto(`${authority.issuer}/admin/live`)
    assert.match(`${live?.headers()['content-security-policy']}`, /script-src 'self'; connect-src 'self'/)
    assert.doesNotMatch(`${live?.headers()['content-security-policy']}`, /unsafe/)
    const other = await page.goto(`${authority.issuer}/admin/audit`)
    assert.doesNotMatch(`${other?.headers()['content-security-policy']}`, /script-src/)
    await context.close()
  })
})

import type { Page } from 'playwright-core'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { endedPageUrl } from '../packages/authority/src/ended-code.ts'
import { createBrowser } from '../tools/browser.ts'
import { mailedCode, subOf } from './account.ts'
import { CHROME, IPHONE, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, exchange, post, signIn } from './sign-in.ts'

/* Every page of the authority, as a real browser comes to it. */

export type Scene = { authority: TestAuthority; ended: string }

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const ANDROID =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36'

/** An authority with somebody who is signed in on a few devices, and was elsewhere. */
export async function makeScene(): Promise<Scene> {
  const authority = await startTestAuthority({
    ...{ logLevel: 'silent', admins: [PERSON.email] },
    // Nobody listens there: what is to be mailed stays among the deliveries.
    mail: { smtp: 'smtp://127.0.0.1:9', from: 'no-reply@login.example' },
  })
  await addAccount(authority.authority.store, BOB, 'test', Date.now())
  const desk = createBrowser(CHROME)
  await signIn(authority.issuer, { browser: desk })
  await signIn(authority.issuer, { browser: desk, clientId: 'third-party' })
  await signIn(authority.issuer, { browser: createBrowser(ANDROID) })
  const phone = await signIn(authority.issuer, { browser: createBrowser(IPHONE) })
  const request = { by: { kind: 'session' as const, sid: sidOf(phone) }, actor: 'test' }
  const { store, now } = authority.authority
  await store.transact({ kind: 'revoke', request: { ...request, reason: 'token_reuse' }, at: now() })
  const tablet = await signIn(authority.issuer, { browser: createBrowser(ANDROID) })
  const pair = { accessToken: tablet.access_token, refreshToken: tablet.refresh_token }
  await post(`${authority.issuer}/v1/revoke`, pair)
  return { authority, ended: endedPageUrl(authority.authority, sidOf(phone)) }
}

/** Signs in to an app from this very browser, which makes it a device of the account; the app itself is nowhere. */
async function openApp({ authority }: Scene, page: Page): Promise<void> {
  await page.goto(`${authority.issuer}/devices`)
  await signInOn(page)
  const { url, verifier } = authorizationRequest(authority.issuer)
  const answer = await page.context().request.get(url, { maxRedirects: 0 })
  const code = `${new URL(`${answer.headers().location}`).searchParams.get('code')}`
  await exchange(authority.issuer, { code, verifier })
}

/** Fills in the sign-in page, where there is one. */
export async function signInOn(page: Page, person = PERSON): Promise<void> {
  if ((await page.locator('input[name=password]').count()) === 0) return
  await page.fill('input[name=email]', person.email)
  await page.fill('input[name=password]', person.password)
  await page.click('button.primary')
}

type Visit = (scene: Scene, page: Page) => Promise<unknown>

/** In an order in which the browser is not signed in yet where a page is for those who are not. */
export const VISITS: Record<string, Visit> = {
  home: ({ authority }, page) => page.goto(authority.issuer),
  'sign-in': ({ authority }, page) => page.goto(authorizationRequest(authority.issuer).url),
  async 'sign-in-failed'({ authority }, page) {
    await page.goto(authorizationRequest(authority.issuer).url)
    await page.fill('input[name=email]', PERSON.email)
    await page.fill('input[name=password]', 'not the password')
    await page.click('button.primary')
  },
  ended: ({ ended }, page) => page.goto(ended),
  async consent({ authority }, page) {
    await page.goto(authorizationRequest(authority.issuer, { clientId: 'third-party' }).url)
    await signInOn(page)
    await page.waitForSelector('.scopes')
  },
  forgot: ({ authority }, page) => page.goto(`${authority.issuer}/forgot`),
  async 'forgot-sent'({ authority }, page) {
    await page.goto(`${authority.issuer}/forgot`)
    await page.fill('input[name=email]', PERSON.email)
    await page.click('button.primary')
  },
  async reset({ authority }, page) {
    const code = await mailedCode(authority, { purpose: 'reset', sub: await subOf(authority) })
    await page.goto(`${authority.issuer}/reset?code=${code}`)
  },
  async 'not-me'({ authority }, page) {
    const code = await mailedCode(authority, { purpose: 'not-me', sub: await subOf(authority) })
    await page.goto(`${authority.issuer}/not-me?code=${code}`)
  },
  'link-expired': ({ authority }, page) => page.goto(`${authority.issuer}/reset?code=${'x'.repeat(43)}`),
  'ended-long-ago': ({ authority }, page) => page.goto(`${authority.issuer}/signed-out`),
  code: ({ authority }, page) => page.goto(`${authority.issuer}/oauth/code?code=abc&state=def`),
  'not-found': ({ authority }, page) => page.goto(`${authority.issuer}/nothing`),
  async devices(scene, page) {
    await openApp(scene, page)
    await page.goto(`${scene.authority.issuer}/devices`)
  },
  'devices-others': ({ authority }, page) => page.goto(`${authority.issuer}/devices/others`),
  async 'devices-ended'({ authority }, page) {
    await page.goto(`${authority.issuer}/devices`)
    await page.locator('form[action="/devices/end"] button').last().click()
    await page.waitForSelector('.notice')
  },
  async 'another-account'(scene, page) {
    const url = new URL(authorizationRequest(scene.authority.issuer).url)
    url.searchParams.set('prompt', 'login')
    await page.goto(url.href)
    await signInOn(page, BOB)
  },
  'ended-known': ({ ended }, page) => page.goto(ended),
  'console-start': ({ authority }, page) => page.goto(`${authority.issuer}/admin`),
  async 'console-account'({ authority }, page) {
    await page.goto(`${authority.issuer}/admin`)
    await page.fill('#who', PERSON.email)
    await page.click('button.primary')
    await page.waitForSelector('.deeds')
  },
  'console-clients': ({ authority }, page) => page.goto(`${authority.issuer}/admin/clients`),
  'console-services': ({ authority }, page) => page.goto(`${authority.issuer}/admin/services`),
  'console-deliveries': ({ authority }, page) => page.goto(`${authority.issuer}/admin/deliveries`),
  async 'console-live'({ authority }, page) {
    await page.goto(`${authority.issuer}/admin/live`)
    await page.waitForSelector('#reasons-graph canvas, #reasons-table table')
  },
  'console-audit': ({ authority }, page) => page.goto(`${authority.issuer}/admin/audit`),
  async 'console-end'({ authority }, page) {
    await page.goto(`${authority.issuer}/admin/end?client=app`)
    await page.fill('#end-many-reason', 'the app was hacked')
    await page.click('button.secondary')
    await page.waitForSelector('strong')
  },
  'console-wrong': async ({ authority }, page) => {
    await page.goto(`${authority.issuer}/admin/audit?since=yesterday`)
  },
  'not-allowed': ({ authority }, page) => page.goto(`${authority.issuer}/devices/end`),
  async 'step-up'({ authority }, page) {
    authority.advance(6 * 60_000)
    await page.goto(`${authority.issuer}/devices/others`)
  },
  async 'signed-out-here'({ authority }, page) {
    await page.goto(`${authority.issuer}/devices`)
    await page.locator('.device', { hasText: 'This device' }).getByRole('button', { name: 'Log out' }).click()
    await page.waitForSelector('.notice.done')
  },
  'sign-out': ({ authority }, page) => page.goto(`${authority.issuer}/oauth/logout`),
}

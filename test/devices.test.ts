import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { readConfig } from '../packages/authority/src/config.ts'
import { startAuthority } from '../packages/authority/src/main.ts'
import { type Browser, createBrowser } from '../tools/browser.ts'
import { ask, CHROME, devicesOf, IPHONE, sessionsOf } from './own.ts'
import { CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, authorize, signIn, type Tokens, tokenRequest } from './sign-in.ts'

/* By what a device is known again, and by what it is not. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const COOKIE = 'rescind-device'

describe('a device', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
    await addAccount(authority.authority.store, BOB, 'test', Date.now())
  })
  after(() => authority.stop())

  const keyOf = (browser: Browser) =>
    [...browser.cookies.keys()].find((key) => key.endsWith(` ${COOKIE}`)) ?? ''
  const cookieOf = (browser: Browser) => browser.cookies.get(keyOf(browser))
  async function deviceOf(tokens: Tokens) {
    const own = (await sessionsOf(authority.issuer, tokens)).find(({ current }) => current)
    return own?.device ?? assert.fail('the session is on no device')
  }
  /** Forgets what the browser was signed in to, as a logout there does. */
  function signOut({ cookies }: Browser) {
    for (const key of [...cookies.keys()]) if (!key.endsWith(` ${COOKIE}`)) cookies.delete(key)
  }
  async function exchangeAs(deviceId: string, options: { clientId?: string; person?: typeof BOB } = {}) {
    const { code, verifier } = await authorize(authority.issuer, {
      browser: createBrowser(IPHONE),
      ...options,
    })
    const fields = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: CALLBACK }
    return tokenRequest(authority.issuer, { ...fields, device_id: deviceId }, options.clientId)
  }
  const tokensAs = async (...args: Parameters<typeof exchangeAs>) => {
    const response = await exchangeAs(...args)
    assert.equal(response.status, 200)
    return (await response.json()) as Tokens
  }
  const added = async () =>
    (await authority.authority.store.read({ kind: 'audit', filter: { event: 'device.added', limit: 1000 } }))
      .length

  it('gets its cookie when somebody has signed in, and not before', async () => {
    const browser = createBrowser(CHROME)
    const page = await browser.open(authorizationRequest(authority.issuer).url)
    assert.equal(cookieOf(browser), undefined)
    await browser.submit(page, /\/login$/, { email: PERSON.email, password: 'wrong wrong' })
    assert.equal(cookieOf(browser), undefined)
    const response = await fetch(
      page.html.match(/action="([^"]+\/login)"/)?.[1]?.replace(/^\//, `${authority.issuer}/`) ?? '',
      {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          cookie: [...browser.cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; '),
        },
        body: new URLSearchParams({ email: PERSON.email, password: PERSON.password }),
      },
    )
    const line = response.headers.getSetCookie().find((one) => one.startsWith(`${COOKIE}=`))
    assert.match(
      `${line}`,
      /^rescind-device=dc_[\w-]{43}; Path=\/; Max-Age=34560000; HttpOnly; SameSite=Lax$/,
    )
  })

  it('is known again after a sign-out, in another app, and is on record once', async () => {
    const browser = createBrowser(CHROME)
    const before = await added()
    const first = await deviceOf(await signIn(authority.issuer, { browser }))
    signOut(browser)
    const second = await deviceOf(await signIn(authority.issuer, { browser, clientId: 'other-app' }))
    assert.deepEqual(second, first)
    assert.equal(await added(), before + 1)
    assert.notEqual((await deviceOf(await signIn(authority.issuer))).id, first.id)
  })

  it('is another one for each account, and its cookie is shown to nobody', async () => {
    const browser = createBrowser(CHROME)
    const ann = await signIn(authority.issuer, { browser })
    signOut(browser)
    const bob = await signIn(authority.issuer, { browser, person: BOB })
    assert.notEqual((await deviceOf(bob)).id, (await deviceOf(ann)).id)
    const value = cookieOf(browser) ?? ''
    const id = Buffer.from(value.slice(3), 'base64url').subarray(0, 16).toString('base64url')
    for (const path of ['sessions', 'devices']) {
      const { text } = await ask(authority.issuer, ann, `GET /v1/${path}`)
      assert.ok(!text.includes(id) && !text.includes(value))
    }
  })

  it('is not what a forged cookie says', async () => {
    const browser = createBrowser(CHROME)
    const own = await deviceOf(await signIn(authority.issuer, { browser }))
    const value = cookieOf(browser) ?? ''
    const other = createBrowser()
    await signIn(authority.issuer, { browser: other })
    const foreign = cookieOf(other) ?? ''
    const bytes = (text: string) => Buffer.from(text.slice(3), 'base64url')
    const mixed = Buffer.concat([bytes(value).subarray(0, 16), bytes(foreign).subarray(16)])
    for (const forged of [
      `dc_${mixed.toString('base64url')}`,
      `${value.slice(0, -1)}`,
      `${value}A`,
      `dc_${Buffer.concat([bytes(value).subarray(0, 16), Buffer.alloc(16)]).toString('base64url')}`,
      'nonsense',
    ]) {
      const thief = createBrowser()
      thief.cookies.set(keyOf(browser), forged)
      assert.notEqual((await deviceOf(await signIn(authority.issuer, { browser: thief }))).id, own.id, forged)
      assert.notEqual(cookieOf(thief), forged, 'it gets one of its own')
    }
  })

  it('without cookies goes by the sign-in of its browser', async () => {
    const browser = createBrowser(CHROME)
    await signIn(authority.issuer, { browser })
    browser.cookies.delete(keyOf(browser))
    const [one, two] = [
      await deviceOf(await signIn(authority.issuer, { browser })),
      await deviceOf(await signIn(authority.issuer, { browser, clientId: 'other-app' })),
    ]
    assert.deepEqual([one.id, one.name], [two.id, 'Chrome on macOS'])
  })

  it('may be named by an app, for itself and its account only', async () => {
    const phone = await deviceOf(await tokensAs('a-phone-0001'))
    assert.deepEqual([phone.name, phone.kind], ['app on iOS', 'app'])
    assert.equal((await deviceOf(await tokensAs('a-phone-0001'))).id, phone.id)
    const others = await Promise.all([
      tokensAs('a-phone-0002').then(deviceOf),
      tokensAs('a-phone-0001', { clientId: 'other-app' }).then(deviceOf),
      tokensAs('a-phone-0001', { person: BOB }).then(deviceOf),
      // The id of a device as it is shown names nothing.
      tokensAs(phone.id).then(deviceOf),
    ])
    assert.equal(new Set([phone, ...others].map(({ id }) => id)).size, 5)
    for (const bad of ['short', 'x'.repeat(129), 'with a space', 'with\ncontrol', 'ünprintable']) {
      const response = await exchangeAs(bad)
      assert.equal(response.status, 400)
      assert.equal(((await response.json()) as { error: string }).error, 'invalid_request')
    }
  })

  it('keeps the name that its owner gave it', async () => {
    const browser = createBrowser(CHROME)
    const tokens = await signIn(authority.issuer, { browser })
    const { id } = await deviceOf(tokens)
    const rename = (body: unknown) => ask(authority.issuer, tokens, `PATCH /v1/devices/${id}`, body)
    const { status, body } = await rename({ name: '  Ann’s\u0000 \u202elaptop\n👩‍💻 ' })
    assert.deepEqual([status, body], [200, { id, name: 'Ann’s laptop 👩‍💻' }])
    signOut(browser)
    const again = await signIn(authority.issuer, { browser })
    assert.equal((await deviceOf(again)).name, 'Ann’s laptop 👩‍💻')
    for (const bad of [
      { name: '' },
      { name: ' \n' },
      { name: 'x'.repeat(61) },
      { name: 7 },
      {},
      { name: 'x', id },
    ]) {
      const refused = await rename(bad)
      assert.deepEqual([refused.status, refused.body.code], [400, 'VALIDATION_ERROR'], JSON.stringify(bad))
    }
    const [listed] = (await devicesOf(authority.issuer, again)).filter((one) => one.id === id)
    assert.deepEqual([listed?.name, listed?.current, listed?.sessions], ['Ann’s laptop 👩‍💻', true, 2])
  })

  it('is not believed what it says of itself: it is cut, cleaned, and never in the way', async () => {
    for (const userAgent of [
      'Mozilla/5.0 (\t<script>) \u00ff'.padEnd(6000, 'x'),
      '',
      '\t',
      'Chrome/'.repeat(500),
    ]) {
      const { name, kind } = await deviceOf(
        await signIn(authority.issuer, { browser: createBrowser(userAgent) }),
      )
      assert.ok(name.length > 0 && name.length <= 80 && !/[<>\p{C}]/u.test(name), name)
      assert.ok(['unknown', 'desktop'].includes(kind))
    }
  })
})

describe('where a device is', () => {
  for (const [what, locate, place] of [
    ['is what the deployment’s hook says', async () => 'Berlin,\u0000 Germany', 'Berlin, Germany'],
    ['may be said at once', () => 'Paris', 'Paris'],
    ['is cut off', () => 'x'.repeat(5000), 'x'.repeat(80)],
    ['is unknown when the hook fails', () => Promise.reject(new Error('no')), 'unknown'],
    [
      'is unknown when the hook throws',
      () => {
        throw new Error('no')
      },
      'unknown',
    ],
    ['is unknown when the hook does not know', () => undefined, 'unknown'],
    ['is unknown when the hook takes its time', () => new Promise<string>(() => undefined), 'unknown'],
  ] as const) {
    it(what, async (t) => {
      const test = await startTestAuthority()
      await test.close()
      const asked: string[] = []
      const running = await startAuthority(test.config, {
        locate: (ip) => {
          asked.push(ip)
          return locate()
        },
      })
      t.after(async () => {
        await running.close()
        await test.restart()
        await test.stop()
      })
      const began = performance.now()
      const tokens = await signIn(test.issuer)
      assert.ok(performance.now() - began < 2_000)
      const [device] = await devicesOf(test.issuer, tokens)
      assert.deepEqual([device?.place, device?.address, asked], [place, '127.0.0.1', ['127.0.0.1']])
    })
  }
})

describe('the device cookie under TLS', () => {
  it('is Secure, and has the prefix that binds it to the host', async () => {
    const { rememberDevice } = await import('../packages/authority/src/oauth/device.ts')
    const config = readConfig({ issuer: 'https://login.example' }, {})
    const key = new Uint8Array(32)
    const set: string[] = []
    rememberDevice(
      { config, ring: () => ({ secrets: { tag: key, successor: key, device: key } }) } as never,
      { headers: {} } as never,
      { appendHeader: (_: string, line: string) => set.push(line) } as never,
    )
    assert.match(
      `${set[0]}`,
      /^__Host-rescind-device=[^;]+; Path=\/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure$/,
    )
  })
})

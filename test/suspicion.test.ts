import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addAccount, setPassword } from '../packages/authority/src/accounts.ts'
import type { Config } from '../packages/authority/src/config.ts'
import type { Hooks, RefreshFacts, SignInFacts, Verdict } from '../packages/authority/src/hooks.ts'
import { createBrowser } from '../tools/browser.ts'
import { audited, send, subOf } from './account.ts'
import { FROM, mailsTo, mailTo } from './mailed.ts'
import { CHROME, IPHONE, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, exchange, lives, refreshed, signIn, type Tokens } from './sign-in.ts'
import { startMailbox } from './smtp.ts'

/* What looks like somebody else: the rules that are built in, and a deployment's own. */

const DONE = /^https:\/\/app\.example\//
const MINUTE = 60_000
const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }

async function withAuthority(
  work: (authority: TestAuthority) => Promise<void>,
  { changes = {}, hooks = {} }: { changes?: Partial<Config>; hooks?: Hooks } = {},
) {
  const authority = await startTestAuthority({ trustProxy: true, logLevel: 'silent', ...changes }, hooks)
  try {
    await addAccount(authority.authority.store, BOB, 'test', Date.now())
    await work(authority)
  } finally {
    await authority.stop()
  }
}

type From = { address: string; agent?: string }

/** A browser of its own at an address, with a sign-in page open; the cookies it has are kept. */
function personAt(authority: TestAuthority, { address, agent = CHROME }: From) {
  const jar = new Map<string, string>()
  const headers = () => ({
    ...{ accept: 'text/html', 'x-forwarded-for': address, 'user-agent': agent },
    cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
  })
  async function go(url: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(url, authority.issuer), {
      ...init,
      headers: { ...headers(), ...(init.headers as object) },
      redirect: 'manual',
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }
  /** Types a password; gives what the browser is answered, and the tokens when it is let in. */
  async function tryPassword(person: { email: string; password: string }) {
    const { url, verifier } = authorizationRequest(authority.issuer)
    const page = await go(`${(await go(`${url}&prompt=login`)).headers.get('location')}`)
    const action = `${/action="(\/interaction\/[^"]+\/login)"/.exec(await page.text())?.[1]}`
    const { email, password } = person
    const form = new URLSearchParams({ email, password })
    const answer = await go(action, { method: 'POST', body: form, headers: { origin: authority.issuer } })
    if (answer.status !== 303) return { status: answer.status, html: await answer.text() }
    let next = `${answer.headers.get('location')}`
    for (let hops = 0; hops < 5 && !DONE.test(next); hops++)
      next = `${(await go(next)).headers.get('location')}`
    const code = `${new URL(next).searchParams.get('code')}`
    const got = await exchange(authority.issuer, { code, verifier })
    return { status: answer.status, html: '', tokens: (await got.json()) as Tokens }
  }
  return { tryPassword }
}

const claimsOf = ({ access_token: token }: Tokens) =>
  JSON.parse(Buffer.from(`${token.split('.')[1]}`, 'base64url').toString()) as {
    auth_time: number
    acr?: string
  }

/** Whether a session may do what needs a recent sign-in. */
async function isRecent(authority: TestAuthority, tokens: Tokens | undefined, password: string) {
  const body = { email: `${Math.random()}@example.com`, currentPassword: `${password}, wrongly` }
  const { status } = await send(authority.issuer, '/v1/account/email', `${tokens?.access_token}`, body)
  assert.ok(status === 403 || status === 401)
  return status === 403
}

/** A refresh as somebody at an address does it. */
function refreshFrom(authority: TestAuthority, token: string, { address, agent = CHROME }: From) {
  return fetch(`${authority.issuer}/oauth/token`, {
    method: 'POST',
    headers: { 'x-forwarded-for': address, 'user-agent': agent },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, client_id: 'app' }),
  })
}

describe('a refresh token that comes again within its grace window', () => {
  const HOME = { address: '192.0.2.1', agent: 'App/1 (Pixel)' }
  it('from another network and another program ends its session, and its owner hears of it', async () => {
    const mailbox = await startMailbox()
    const mail = { smtp: mailbox.url, from: FROM }
    await withAuthority(
      async (authority) => {
        const [tokens, other] = [await signIn(authority.issuer), await signIn(authority.issuer)]
        const first = await refreshFrom(authority, tokens.refresh_token, HOME)
        const next = (await first.json()) as Tokens
        const thief = { address: '198.51.100.1', agent: 'curl/8' }
        const again = await refreshFrom(authority, tokens.refresh_token, thief)
        assert.equal(again.status, 400)
        const { error, error_description: why } = (await again.json()) as Record<string, string>
        assert.equal(error, 'invalid_grant')
        assert.match(`${why}`, /looked as if somebody else was using it/)
        for (const one of [tokens, next]) assert.equal(await lives(authority.issuer, one.access_token), false)
        assert.equal((await refreshFrom(authority, next.refresh_token, HOME)).status, 400)
        assert.equal(await lives(authority.issuer, other.access_token), true)
        const ends = await audited(authority, 'revocation', await subOf(authority))
        assert.deepEqual(
          ends.map(({ reason, sid, address }) => [reason, sid, address]),
          [['suspicious_activity', sidOf(tokens), thief.address]],
        )
        await new Promise((resolve) => setTimeout(resolve, 1_200))
        authority.advance(MINUTE)
        const told = await mailTo(mailbox, PERSON.email)
        assert.match(`${told.text}`, /something unusual was seen/)
        assert.match(`${told.text}`, /not-me\?code=/)
      },
      { changes: { mail } },
    )
    await mailbox.close()
  })

  it('from the same network, or by the same program, is one that lost the answer', async () => {
    await withAuthority(async (authority) => {
      for (const second of [
        HOME,
        { ...HOME, address: '198.51.100.1' },
        { ...HOME, agent: 'App/2 (Pixel)' },
        { address: '::ffff:192.0.2.1', agent: 'something else' },
      ]) {
        const tokens = await signIn(authority.issuer)
        const first = (await (await refreshFrom(authority, tokens.refresh_token, HOME)).json()) as Tokens
        const again = await refreshFrom(authority, tokens.refresh_token, second)
        assert.equal(again.status, 200, JSON.stringify(second))
        assert.equal(((await again.json()) as Tokens).refresh_token, first.refresh_token)
        assert.equal(await lives(authority.issuer, first.access_token), true)
      }
      // One IPv6 subscriber has many addresses.
      const tokens = await signIn(authority.issuer)
      const [a, b] = [
        { address: '2001:db8:1:2::1', agent: 'a' },
        { address: '2001:db8:1:2:ffff::9', agent: 'b' },
      ]
      assert.equal((await refreshFrom(authority, tokens.refresh_token, a)).status, 200)
      assert.equal((await refreshFrom(authority, tokens.refresh_token, b)).status, 200)
    })
  })

  it('is left alone where the rule is switched off', async () => {
    const changes = { suspicion: { impossibleReuse: false, guessing: false as const } }
    const base = await startTestAuthority()
    const policy = { ...base.config.policy, impossibleReuse: false }
    await base.stop()
    await withAuthority(
      async (authority) => {
        const tokens = await signIn(authority.issuer)
        assert.equal((await refreshFrom(authority, tokens.refresh_token, HOME)).status, 200)
        const thief = { address: '198.51.100.1', agent: 'curl/8' }
        assert.equal((await refreshFrom(authority, tokens.refresh_token, thief)).status, 200)
      },
      { changes: { ...changes, policy } },
    )
  })
})

describe('many failed sign-ins, and then a success', () => {
  const HOME = { address: '192.0.2.1' }
  const GUESSERS = [{ address: '198.51.100.1' }, { address: '198.51.100.2' }]
  async function guessAt(
    authority: TestAuthority,
    person: { email: string },
    times: number,
    where = GUESSERS,
  ) {
    const guessers = where.map((one) => personAt(authority, one))
    for (let n = 0; n < times; n++) {
      const guess = { email: person.email, password: `guess ${n}` }
      const { status } = (await guessers[n % guessers.length]?.tryPassword(guess)) ?? {}
      assert.equal(status, 401)
    }
  }

  it('is no recent sign-in, is mailed, and does not become one by signing in again', async () => {
    const mailbox = await startMailbox()
    const mail = { smtp: mailbox.url, from: FROM }
    await withAuthority(
      async (authority) => {
        await guessAt(authority, PERSON, 10)
        const guesser = personAt(authority, { address: '198.51.100.1' })
        for (let n = 0; n < 2; n++) {
          const { tokens } = await guesser.tryPassword(PERSON)
          assert.ok(tokens, 'it is let in: it may be the owner on a new phone')
          assert.equal(await lives(authority.issuer, tokens.access_token), true)
          assert.equal(await isRecent(authority, tokens, PERSON.password), false, `sign-in ${n}`)
          assert.ok(claimsOf(tokens).auth_time < authority.authority.now() / 1000 - 300)
          assert.equal(claimsOf(tokens).acr, undefined)
        }
        assert.match(`${(await mailTo(mailbox, PERSON.email)).subject}`, /unusual sign-in/)
        const [record] = await audited(authority, 'signin.suspicious', await subOf(authority))
        assert.equal(record?.detail, 'let in, not as a recent sign-in')
        assert.deepEqual(mailsTo(mailbox, BOB.email), [])
      },
      { changes: { mail } },
    )
    await mailbox.close()
  })

  it('is no recent one either shortly after everything was called off', async () => {
    await withAuthority(async (authority) => {
      const owner = await signIn(authority.issuer)
      await guessAt(authority, PERSON, 10)
      const body = { currentPassword: PERSON.password, newPassword: 'password1' }
      assert.equal(
        (await send(authority.issuer, '/v1/account/password', owner.access_token, body)).status,
        200,
      )
      const person = { ...PERSON, password: 'password1' }
      const { tokens } = await personAt(authority, { address: '198.51.100.2' }).tryPassword(person)
      assert.ok(tokens)
      assert.equal(await isRecent(authority, tokens, 'password1'), false)
    })
  })

  it('the owner, where the account was used before, is neither locked out nor doubted', async () => {
    await withAuthority(async (authority) => {
      const owner = personAt(authority, HOME)
      assert.ok((await owner.tryPassword(PERSON)).tokens)
      authority.advance(MINUTE)
      await guessAt(authority, PERSON, 20)
      const stranger = personAt(authority, { address: '198.51.100.3' })
      assert.equal((await stranger.tryPassword(PERSON)).status, 429, 'the budget of strangers is used up')
      // The same browser somewhere else, another browser at home.
      for (const one of [owner, personAt(authority, { ...HOME, agent: IPHONE })]) {
        const { tokens } = await one.tryPassword(PERSON)
        assert.ok(tokens)
        assert.equal(await isRecent(authority, tokens, PERSON.password), true)
      }
    })
  })

  it('is believed when there were few, long ago, from one network, or of somebody else', async () => {
    await withAuthority(async (authority) => {
      const elsewhere = { address: '203.0.113.9' }
      const recent = async (person = PERSON) => {
        const { tokens } = await personAt(authority, elsewhere).tryPassword(person)
        return isRecent(authority, tokens, person.password)
      }
      await guessAt(authority, BOB, 10)
      assert.equal(await recent(), true, 'of somebody else')
      await guessAt(authority, PERSON, 9)
      assert.equal(await recent(), true, 'few')
      authority.advance(61 * MINUTE)
      await guessAt(authority, BOB, 12, [GUESSERS[0] as From])
      assert.equal(await recent(BOB), true, 'from one network')
      authority.advance(61 * MINUTE)
      await guessAt(authority, BOB, 12)
      authority.advance(11 * MINUTE)
      assert.equal(await recent(BOB), true, 'long ago')
    })
  })
})

describe('a hook of the deployment’s own', () => {
  const verdicts = (verdict: () => unknown): Hooks => ({
    onSignIn: verdict as () => Verdict,
    onRefresh: verdict as () => Verdict,
  })

  it('about a sign-in is told what it needs, and allows, doubts or refuses', async () => {
    const asked: SignInFacts[] = []
    let verdict: Verdict = 'allow'
    const onSignIn = async (facts: SignInFacts) => {
      asked.push(facts)
      return verdict
    }
    await withAuthority(
      async (authority) => {
        const owner = personAt(authority, { address: '192.0.2.1' })
        await owner.tryPassword({ ...PERSON, password: 'a wrong one' })
        assert.equal(asked.length, 0, 'a wrong password is refused anyway')
        assert.equal(await isRecent(authority, (await owner.tryPassword(PERSON)).tokens, 'x'), true)
        const sub = await subOf(authority)
        assert.deepEqual(
          { ...asked[0], at: 0 },
          {
            ...{ sub, clientId: 'app', device: undefined, address: '192.0.2.1', previousAddress: undefined },
            ...{ at: 0, recentFailures: 1, userAgent: CHROME },
          },
        )
        verdict = 'step-up'
        const { tokens } = await owner.tryPassword(PERSON)
        assert.equal(await isRecent(authority, tokens, 'x'), false)
        assert.equal(asked[1]?.previousAddress, '192.0.2.1')
        assert.match(`${asked[1]?.device}`, /^\S{8,}$/)
        verdict = 'revoke'
        const refused = await owner.tryPassword(PERSON)
        assert.equal(refused.status, 403)
        assert.match(refused.html, /looks unusual/)
        assert.equal(await lives(authority.issuer, `${tokens?.access_token}`), true, 'what was there stays')
        const details = (await audited(authority, 'signin.suspicious', sub)).map(({ detail }) => detail)
        assert.deepEqual(details, ['let in, not as a recent sign-in', 'refused'])
      },
      { hooks: { onSignIn } },
    )
  })

  it('about a refresh allows, asks for a sign-in, or ends the session', async () => {
    const asked: RefreshFacts[] = []
    let verdict: Verdict = 'allow'
    const onRefresh = (facts: RefreshFacts) => {
      asked.push(facts)
      return verdict
    }
    await withAuthority(
      async (authority) => {
        const first = await signIn(authority.issuer, { browser: createBrowser(CHROME) })
        const there = { address: '203.0.113.5', agent: 'App/1' }
        const second = (await (await refreshFrom(authority, first.refresh_token, there)).json()) as Tokens
        assert.deepEqual(
          [asked[0]?.sid, asked[0]?.address, asked[0]?.userAgent],
          [sidOf(first), '203.0.113.5', 'App/1'],
        )
        verdict = 'step-up'
        const refused = await refreshFrom(authority, second.refresh_token, there)
        assert.equal(refused.status, 400)
        assert.equal(((await refused.json()) as { error: string }).error, 'interaction_required')
        assert.equal(await lives(authority.issuer, second.access_token), true)
        verdict = 'allow'
        const third = await refreshed(authority.issuer, second.refresh_token)
        // Tokens that can't be used any more, and strangers' clients, ask nobody.
        const before = asked.length
        authority.advance(MINUTE)
        await fetch(`${authority.issuer}/oauth/token`, {
          method: 'POST',
          body: new URLSearchParams({
            ...{ grant_type: 'refresh_token', refresh_token: third.refresh_token, client_id: 'other-app' },
          }),
        })
        await refreshFrom(authority, `${third.refresh_token}x`, there)
        assert.equal(asked.length, before)
        verdict = 'revoke'
        const ended = await refreshFrom(authority, third.refresh_token, there)
        assert.equal(ended.status, 400)
        assert.equal(((await ended.json()) as { error: string }).error, 'invalid_grant')
        assert.equal(await lives(authority.issuer, third.access_token), false)
        const [record] = await audited(authority, 'revocation', await subOf(authority))
        assert.deepEqual([record?.reason, record?.sid], ['suspicious_activity', sidOf(third)])
      },
      { hooks: { onRefresh } },
    )
  })

  it('that thinks while the password is changed does not let the old one in', async () => {
    const work: { change?: (at: number) => Promise<void> } = {}
    const onSignIn = async ({ at }: SignInFacts) => {
      // As if the change had been begun a moment before the sign-in, and had been slow.
      await work.change?.(at - 2_000)
      return 'allow' as const
    }
    await withAuthority(
      async (authority) => {
        const { store } = authority.authority
        work.change = (at) => setPassword(store, PERSON.email, 'another password', 'test', at)
        const { status } = await personAt(authority, { address: '192.0.2.1' }).tryPassword(PERSON)
        assert.equal(status, 401)
      },
      { hooks: { onSignIn } },
    )
  })

  const broken: Record<string, () => unknown> = {
    'that throws': () => {
      throw new Error('broken')
    },
    'that throws nothing at all': () => Promise.reject(undefined),
    'that says something else': () => 'deny',
    'that says nothing': () => undefined,
    'that never answers': () => new Promise(() => {}),
    'that is refused too late': () =>
      new Promise((_, reject) => setTimeout(reject, 1_500, new Error('too late'))),
  }
  for (const [name, verdict] of Object.entries(broken))
    it(`${name} locks nobody out`, async () => {
      await withAuthority(
        async (authority) => {
          const tokens = await signIn(authority.issuer)
          assert.equal(await isRecent(authority, tokens, PERSON.password), true)
          const next = await refreshed(authority.issuer, tokens.refresh_token)
          assert.equal(await lives(authority.issuer, next.access_token), true)
        },
        { hooks: verdicts(verdict) },
      )
    })

  it('can’t allow what a rule of ours doubts, and a broken one does not either', async () => {
    for (const verdict of [() => 'allow', () => Promise.reject(new Error('broken'))])
      await withAuthority(
        async (authority) => {
          const guessers = ['198.51.100.1', '198.51.100.2'].map((address) => personAt(authority, { address }))
          for (let n = 0; n < 10; n++)
            await guessers[n % 2]?.tryPassword({ ...PERSON, password: `guess ${n}` })
          const { tokens } = (await guessers[0]?.tryPassword(PERSON)) ?? {}
          assert.equal(await isRecent(authority, tokens, PERSON.password), false)
        },
        { hooks: verdicts(verdict) },
      )
  })
})

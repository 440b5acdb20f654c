import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { audited, send, subOf } from './account.ts'
import { sidOf } from './own.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, authorize, exchange, lives, refresh, signIn, type Tokens } from './sign-in.ts'

/* `/v1/account/password` and `/v1/account/email`: who may change what, and what does not survive it. */

const DONE = /^https:\/\/app\.example\//
const MINUTE = 60_000
let people = 0

describe('changing a password or an e-mail', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  async function newPerson(password = 'a password') {
    const person = { email: `person-${++people}@example.com`, password, name: 'P' }
    await addAccount(authority.authority.store, person, 'test', Date.now())
    return person
  }
  type Person = Awaited<ReturnType<typeof newPerson>>
  const post = async (path: string, { access_token }: Tokens, body: unknown) => {
    const response = await send(authority.issuer, `/v1/account/${path}`, access_token, body)
    return { status: response.status, headers: response.headers, body: (await response.json()) as Answer }
  }
  type Answer = { code?: string; error?: string; changed?: boolean; email?: string; ended?: unknown[] }
  const changePassword = (
    tokens: Tokens,
    currentPassword: string,
    newPassword: unknown = 'another password',
  ) => post('password', tokens, { currentPassword, newPassword })
  const changeEmail = (tokens: Tokens, email: unknown, currentPassword = 'a password') =>
    post('email', tokens, { email, currentPassword })
  const canSignIn = (person: Person, password: string) =>
    signIn(authority.issuer, { person: { ...person, password } }).then(
      () => true,
      () => false,
    )
  /** Goes through the pages again, as an app does that was told to. */
  async function again(
    person: Person,
    browser: ReturnType<typeof createBrowser>,
    how: Record<string, string>,
  ) {
    const { url, verifier } = authorizationRequest(authority.issuer)
    const back = await signInThrough(browser, `${url}&${new URLSearchParams(how)}`, person, DONE)
    const response = await exchange(authority.issuer, { code: `${back.searchParams.get('code')}`, verifier })
    return (await response.json()) as Tokens
  }

  it('needs a sign-in of the last five minutes, and says so in the words of RFC 9470', async () => {
    const person = await newPerson()
    const browser = createBrowser()
    const tokens = await signIn(authority.issuer, { person, browser })
    authority.advance(5 * MINUTE + 2_000)
    for (const refused of [
      await changePassword(tokens, person.password),
      await changeEmail(tokens, 'new@example.com'),
    ]) {
      assert.deepEqual([refused.status, refused.body.code], [401, 'INSUFFICIENT_USER_AUTHENTICATION'])
      const challenge = `${refused.headers.get('www-authenticate')}`
      assert.match(challenge, /^Bearer error="insufficient_user_authentication"/)
      assert.match(challenge, /max_age="300"/)
    }
    assert.equal(await lives(authority.issuer, tokens.access_token), true, 'nothing else is wrong with it')
    // A browser that is signed in does not walk through on its old sign-in.
    for (const how of [{ max_age: '300' }, { prompt: 'login' }] as Record<string, string>[]) {
      authority.advance(6 * MINUTE)
      const page = await browser.open(
        `${authorizationRequest(authority.issuer).url}&${new URLSearchParams(how)}`,
        DONE,
      )
      assert.match(page.html, /name="password"/, JSON.stringify(how))
      const fresh = await again(person, browser, how)
      const email = `${Math.random()}@example.com`
      assert.equal((await changeEmail(fresh, email)).status, 200, JSON.stringify(how))
      person.email = email
    }
  })

  it('needs the current password too, and counts wrong ones by session', async () => {
    const person = await newPerson()
    const [thief, owner] = [
      await signIn(authority.issuer, { person }),
      await signIn(authority.issuer, { person }),
    ]
    let guesses = 0
    for (; guesses < 30; guesses++) {
      const { status, body } = await changePassword(thief, `guess ${guesses}`)
      if (status === 429) break
      assert.deepEqual([status, body.code], [403, 'ACCESS_DENIED'])
    }
    assert.ok(guesses >= 5 && guesses <= 12, `${guesses} guesses`)
    const blocked = await changeEmail(thief, 'thief@example.com', person.password)
    assert.equal(blocked.status, 429, 'the same budget')
    assert.ok(Number(blocked.headers.get('retry-after')) > 0)
    assert.equal((await changePassword(owner, person.password)).status, 200, 'the owner is not kept from it')
    assert.equal(await lives(authority.issuer, thief.access_token), false)
    const failed = await audited(authority, 'signin.failed', await subOf(authority, person.email))
    assert.equal(failed.length, guesses, 'each is on record')
    assert.deepEqual([failed[0]?.sid, failed[0]?.detail], [sidOf(thief), 'the current password'])
  })

  it('right passwords cost nothing', async () => {
    const person = await newPerson()
    const tokens = await signIn(authority.issuer, { person })
    let password = person.password
    for (let n = 0; n < 13; n++) {
      const { status, body } = await changePassword(tokens, password, `password ${n}`)
      assert.equal(status, 200, JSON.stringify(body))
      password = `password ${n}`
    }
  })

  it('takes no password that is too short, too long, empty or no text, and then changes nothing', async () => {
    const person = await newPerson()
    const [tokens, other] = [
      await signIn(authority.issuer, { person }),
      await signIn(authority.issuer, { person }),
    ]
    for (const bad of ['', '1234567', 'x'.repeat(1025), null, 12345678, ['a password']]) {
      const { status, body } = await changePassword(tokens, person.password, bad)
      assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR'], `${bad}`.slice(0, 20))
      assert.doesNotMatch(`${body.error}`, /x{20}/)
    }
    for (const bad of [
      '',
      'nobody',
      'a@b@c',
      'a b@c',
      `${'x'.repeat(250)}@example.com`,
      'a@b\r\nBcc: c@d',
      '"a"@b',
      7,
    ]) {
      const { status, body } = await changeEmail(tokens, bad)
      assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR'], `${bad}`.slice(0, 20))
    }
    assert.equal((await post('password', tokens, { newPassword: 'another password' })).status, 400)
    assert.equal((await changePassword(tokens, '')).status, 400)
    const more = { currentPassword: person.password, newPassword: 'another password', sub: 'x' }
    assert.equal((await post('password', tokens, more)).status, 400)
    assert.equal(await lives(authority.issuer, other.access_token), true)
    assert.equal(await canSignIn(person, person.password), true)
    // Spaces, other alphabets and the longest one are passwords like others.
    for (const [from, to] of [
      [person.password, '        '],
      ['        ', 'пароль 密码 🔑'],
      ['пароль 密码 🔑', 'y'.repeat(1024)],
    ] as const)
      assert.equal((await changePassword(tokens, from, to)).status, 200)
    assert.equal(await canSignIn(person, 'y'.repeat(1024)), true)
  })

  it('is for whoever has a live token, and nobody else', async () => {
    const person = await newPerson()
    const tokens = await signIn(authority.issuer, { person })
    const body = { currentPassword: person.password, newPassword: 'another password' }
    const url = `${authority.issuer}/v1/account/password`
    const json = { 'content-type': 'application/json' }
    const bare = await fetch(url, { method: 'POST', headers: json, body: JSON.stringify(body) })
    assert.equal(bare.status, 401)
    assert.equal((await fetch(url)).status, 405)
    const form = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.access_token}` },
      body: new URLSearchParams(body),
    })
    assert.equal(form.status, 415)
    await changePassword(await signIn(authority.issuer, { person }), person.password)
    assert.equal((await changePassword(tokens, 'another password')).status, 401)
  })

  it('an e-mail that is taken is refused as one that is kept for somebody, and only so many can be tried', async () => {
    const [person, other] = [await newPerson(), await newPerson()]
    const tokens = await signIn(authority.issuer, { person })
    const taken = await changeEmail(tokens, other.email.toUpperCase())
    assert.deepEqual([taken.status, taken.body.code], [400, 'VALIDATION_ERROR'])
    assert.doesNotMatch(`${taken.body.error}`, /taken|exists|in use/i)
    const wrong = await changeEmail(tokens, other.email, 'a wrong password')
    assert.equal(wrong.body.code, 'ACCESS_DENIED', 'nobody asks without the password')
    let tries = 1
    for (; tries < 20; tries++) if ((await changeEmail(tokens, other.email)).status === 429) break
    assert.equal(tries, 5)
    const elsewhere = await signIn(authority.issuer, { person })
    assert.equal((await changeEmail(elsewhere, 'free@example.com')).status, 429, 'by account, not by session')
    assert.equal(await canSignIn(other, other.password), true)
  })

  it('an e-mail that changes ends nothing; the same one again is no change', async () => {
    const person = await newPerson()
    const [tokens, other] = [
      await signIn(authority.issuer, { person }),
      await signIn(authority.issuer, { person }),
    ]
    const sub = await subOf(authority, person.email)
    const same = await changeEmail(tokens, person.email)
    assert.deepEqual([same.status, same.body.changed], [200, false])
    assert.deepEqual(await audited(authority, 'account.email_changed', sub), [])
    const email = `moved-${person.email}`
    const moved = await changeEmail(tokens, email)
    assert.deepEqual([moved.status, moved.body], [200, { changed: true, email }])
    for (const one of [tokens, other]) assert.equal(await lives(authority.issuer, one.access_token), true)
    assert.equal(await canSignIn(person, person.password), false)
    assert.equal(await canSignIn({ ...person, email }, person.password), true)
    const [record] = await audited(authority, 'account.email_changed', sub)
    assert.deepEqual([record?.detail, record?.sid], [`from ${person.email}`, sidOf(tokens)])
  })

  it('an e-mail that was given up is kept for its account for seven days', async () => {
    const [person, thief] = [await newPerson(), await newPerson()]
    const tokens = await signIn(authority.issuer, { person })
    const thiefs = await signIn(authority.issuer, { person: thief })
    assert.equal((await changeEmail(tokens, `gone-${person.email}`)).status, 200)
    const sits = await changeEmail(thiefs, person.email.toUpperCase())
    assert.deepEqual([sits.status, sits.body.code], [400, 'VALIDATION_ERROR'])
    assert.equal((await changeEmail(tokens, person.email)).status, 200, 'its own account may have it back')
    assert.equal((await changeEmail(thiefs, `gone-${person.email}`)).status, 400)
  })

  it('of two changes at once one wins, and the loser is told', async () => {
    const person = await newPerson()
    const [one, two] = [
      await signIn(authority.issuer, { person }),
      await signIn(authority.issuer, { person }),
    ]
    const answers = await Promise.all([
      changePassword(one, person.password, 'password of one'),
      changePassword(two, person.password, 'password of two'),
    ])
    const statuses = answers.map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 200).length, 1, `${statuses}`)
    const loser = answers.find(({ status }) => status !== 200)
    assert.ok(['INVALID_STATE', 'AUTHENTICATION_FAILED', 'ACCESS_DENIED'].includes(`${loser?.body.code}`))
    const winner = statuses[0] === 200 ? 'one' : 'two'
    assert.equal(await canSignIn(person, `password of ${winner}`), true)
    assert.equal(await canSignIn(person, `password of ${winner === 'one' ? 'two' : 'one'}`), false)
    const sub = await subOf(authority, person.email)
    assert.equal((await audited(authority, 'account.password_set', sub)).length, 1)
    const alive = await Promise.all(
      [one, two].map(({ access_token }) => lives(authority.issuer, access_token)),
    )
    assert.deepEqual(alive, [winner === 'one', winner === 'two'])
  })

  it('of two changes of one session at once one wins too', async () => {
    const person = await newPerson()
    const tokens = await signIn(authority.issuer, { person })
    const passwords = ['first password', 'second password']
    const answers = await Promise.all(
      passwords.map((password) => changePassword(tokens, person.password, password)),
    )
    const winner = answers.findIndex(({ status }) => status === 200)
    const loser = answers[1 - winner]
    assert.ok(['INVALID_STATE', 'ACCESS_DENIED'].includes(`${loser?.body.code}`), `${loser?.status}`)
    assert.equal(await canSignIn(person, `${passwords[winner]}`), true)
    assert.equal(await canSignIn(person, `${passwords[1 - winner]}`), false)
  })

  it('two e-mails at once: one wins; one e-mail for two accounts at once: one gets it', async () => {
    const [person, other] = [await newPerson(), await newPerson()]
    const [one, two] = [
      await signIn(authority.issuer, { person }),
      await signIn(authority.issuer, { person: other }),
    ]
    const both = await Promise.all([
      changeEmail(one, `a-${person.email}`),
      changeEmail(one, `b-${person.email}`),
    ])
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 400])
    assert.equal(both.find(({ status }) => status === 400)?.body.code, 'INVALID_STATE')
    const wanted = `wanted-${person.email}`
    const race = await Promise.all([changeEmail(one, wanted), changeEmail(two, wanted)])
    assert.deepEqual(race.map(({ status }) => status).sort(), [200, 400])
  })

  it('the session that asks stays; codes, sign-ins and refreshes of before do not survive', async () => {
    for (let round = 0; round < 6; round++) {
      const person = await newPerson()
      const asking = await signIn(authority.issuer, { person })
      const other = await signIn(authority.issuer, { person })
      const idle = createBrowser()
      const code = await authorize(authority.issuer, { person, browser: idle })
      const [changed, exchanged, refreshedOther, refreshedOwn, late] = await Promise.all([
        changePassword(asking, person.password),
        exchange(authority.issuer, code),
        refresh(authority.issuer, other.refresh_token),
        refresh(authority.issuer, asking.refresh_token),
        signIn(authority.issuer, { person }).catch(() => undefined),
      ])
      assert.equal(changed.status, 200)
      assert.equal(refreshedOwn.status, 200)
      for (const response of [exchanged, refreshedOther]) {
        const got = (await response.json()) as Tokens
        if (response.status !== 200) continue
        assert.equal(await lives(authority.issuer, got.access_token), false)
        assert.equal((await refresh(authority.issuer, got.refresh_token)).status, 400)
      }
      if (late) assert.equal(await lives(authority.issuer, late.access_token), false, 'by the old password')
      const own = (await refreshedOwn.json()) as Tokens
      assert.equal(await lives(authority.issuer, own.access_token), true)
      const page = await idle.open(authorizationRequest(authority.issuer).url, DONE)
      assert.match(page.html, /name="password"/, 'the sign-in of another browser')
    }
  })

  it('a code of before, exchanged after, opens nothing', async () => {
    const person = await newPerson()
    const asking = await signIn(authority.issuer, { person })
    const code = await authorize(authority.issuer, { person })
    assert.equal((await changePassword(asking, person.password)).status, 200)
    const response = await exchange(authority.issuer, code)
    assert.equal(response.status, 400)
    assert.equal(((await response.json()) as { error: string }).error, 'invalid_grant')
    const tokens = await signIn(authority.issuer, { person: { ...person, password: 'another password' } })
    assert.equal(
      await lives(authority.issuer, tokens.access_token),
      true,
      'the new one at once, in the same second',
    )
  })
})

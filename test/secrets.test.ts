import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createBrowser } from '../tools/browser.ts'
import { sendForm } from './account.ts'
import { FROM, linkIn, mailTo } from './mailed.ts'
import { API, CLIENTS, freePort, PERSON } from './setup.ts'
import { authorize, exchange, post, refreshed, type Tokens, tokenRequest } from './sign-in.ts'
import { startMailbox } from './smtp.ts'
import { callTool } from './tool.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')

/** Runs a command to its end, or until `stop`; gives all that it printed. */
function rescind(args: string[], input = '') {
  const child = spawn(process.execPath, [CLI, ...args])
  let printed = ''
  child.stdout.on('data', (chunk) => (printed += chunk))
  child.stderr.on('data', (chunk) => (printed += chunk))
  child.stdin.end(input)
  const ended = new Promise<{ code: number | null; printed: string }>((resolve) =>
    child.once('exit', (code) => resolve({ code, printed })),
  )
  return { ended, stop: () => child.kill('SIGTERM') }
}

describe('secrets', () => {
  it('never reach the log, the audit log or the disk in clear', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rescind-secrets-'))
    const data = join(folder, 'store')
    const config = join(folder, 'rescind.json')
    const port = await freePort()
    const issuer = `http://localhost:${port}`
    const resources = [{ resource: API, scopes: { 'notes:read': 'Read your notes' } }]
    const mailbox = await startMailbox()
    const mail = { smtp: mailbox.url, from: FROM }
    const settings = { port, data, logLevel: 'trace', clients: CLIENTS, resources, mail }
    writeFileSync(config, JSON.stringify(settings))
    await rescind(['accounts', 'add', PERSON.email, '--config', config], `${PERSON.password}\n`).ended
    const server = rescind(['serve', '--config', config])
    for (let tries = 0; tries < 400; tries++) {
      if ((await fetch(`${issuer}/oauth/jwks`).catch(() => undefined))?.ok) break
      await new Promise((resolve) => setTimeout(resolve, 25))
    }

    const browser = createBrowser()
    const registration = await post(`${issuer}/oauth/register`, { redirect_uris: ['https://dyn.example/cb'] })
    const registered = (await registration.json()) as Record<string, string>
    const grant = await authorize(issuer, { browser })
    const tokens = (await (await exchange(issuer, grant)).json()) as Tokens
    const next = await refreshed(issuer, tokens.refresh_token)
    const flow = await callTool(issuer, 'start_oauth_flow', {})
    const { state } = flow.structuredContent as { state: string }
    // Every way to fail with a secret in hand.
    await exchange(issuer, grant)
    await tokenRequest(issuer, { grant_type: 'refresh_token', refresh_token: `${next.refresh_token}x` })
    await callTool(issuer, 'handle_oauth_callback', { code: grant.code, state })
    await callTool(issuer, 'revoke_oauth_tokens', { accessToken: `${next.access_token}x` })
    await post(`${issuer}/v1/revoke`, { accessToken: next.access_token, refreshToken: next.refresh_token })
    await fetch(`${issuer}/oauth/authorize?client_id=nobody&code=${grant.code}`)
    await sendForm(`${issuer}/forgot`, { email: PERSON.email })
    const link = linkIn(await mailTo(mailbox, PERSON.email), 'reset')
    const mailed = `${link.split('=')[1]}`
    const newPassword = 'a new password of Ann'
    await fetch(`${issuer}${link}x`)
    await fetch(`${issuer}${link}`, { method: 'PUT' })
    for (const fields of [{ newPassword: 'short' }, { newPassword }, { newPassword }])
      await sendForm(`${issuer}/reset?code=${mailed}`, { code: mailed, ...fields })
    server.stop()
    const log = (await server.ended).printed
    const audit = (await rescind(['audit', 'show', '--config', config]).ended).printed
    assert.match(log, /the authority is up/)
    assert.match(
      log,
      /"requestId":"[\w-]{36}","method":"POST","path":"\/oauth\/token","status":200,"ms":[\d.]+,"msg":"request"/,
    )
    assert.match(audit, /"event":"revocation"/)

    const secrets = {
      password: PERSON.password,
      code: grant.code,
      verifier: grant.verifier,
      'access token': tokens.access_token,
      'next access token': next.access_token,
      'refresh token': tokens.refresh_token,
      'next refresh token': next.refresh_token,
      ticket: tokens.logout_ticket,
      'id token': `${tokens.id_token}`,
      state,
      'mailed code': mailed,
      'new password': newPassword,
      'mail password': 'the mail password',
      'client secret': `${registered.client_secret}`,
      'registration token': `${registered.registration_access_token}`,
      ...Object.fromEntries([...browser.cookies].map(([name, value]) => [`cookie ${name}`, value])),
    }
    const files = readdirSync(data).map((name) => [name, readFileSync(join(data, name), 'latin1')] as const)
    assert.ok(files.length > 1)
    for (const [what, secret] of Object.entries(secrets)) {
      assert.ok(secret.length > 8, `${what} was not collected`)
      // The signature or the secret part: what comes before it is public.
      const part = secret.slice(-20)
      assert.ok(!log.includes(part), `${what} is in the log`)
      assert.ok(!audit.includes(part), `${what} is in the audit log`)
      for (const [name, content] of files) assert.ok(!content.includes(part), `${what} is in ${name}`)
    }
    assert.equal(statSync(join(data, 'master.key')).mode & 0o077, 0, 'others may read the master key')
    rmSync(folder, { recursive: true, force: true })
    await mailbox.close()
  })
})

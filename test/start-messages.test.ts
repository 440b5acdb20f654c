import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { freePort } from './setup.ts'

/* What somebody reads who starts it wrongly: what is wrong and what to do, never a stack. */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const START = join(import.meta.dirname, '../tools/start.ts')

describe('a start that can’t work', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-start-'))
  let taken: Server
  let port: number
  before(async () => {
    port = await freePort()
    taken = createServer()
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve))
  })
  after(() => {
    taken.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Runs it to its end; one that goes on running has no status. */
  function refused(args: string[], status: number, script = CLI): string {
    const environment = { ...process.env, RESCIND_LOG_LEVEL: 'silent' }
    const result = spawnSync(process.execPath, [script, ...args], {
      ...{ encoding: 'utf8', env: environment, timeout: 20_000, input: 'a long password\n' },
    })
    assert.equal(result.status, status, `${args.join(' ')}: ${result.stdout}${result.stderr}`)
    assert.doesNotMatch(result.stderr, /\n\s+at |Error:/, 'a stack')
    return result.stderr
  }
  let files = 0
  function config(content: unknown): string {
    const path = join(folder, `${++files}.json`)
    writeFileSync(path, JSON.stringify({ data: join(folder, 'data'), port: 0, ...(content as object) }))
    return path
  }
  const data = (name: string) => join(folder, name)

  it('on a port in use says which address, and what to do', () => {
    const message = refused(['serve', '--port', `${port}`, '--data', data('a')], 1)
    assert.equal(
      message,
      `127.0.0.1:${port} is in use by another program. Stop that one, or name another port: --port.\n`,
    )
    const metrics = config({ metrics: { port } })
    assert.match(refused(['serve', '--config', metrics], 1), new RegExp(`^127.0.0.1:${port} is in use`))
    assert.match(
      refused(['--port', `${port}`, '--data', data('b')], 1, START),
      /Port \d+ is taken\. Name another/,
    )
    const elsewhere = ['serve', '--host', '192.0.2.1', '--port', '4600', '--data', data('a')]
    assert.match(refused(elsewhere, 1), /^192\.0\.2\.1:4600 is no address of this machine/)
  })

  it('on a port that is none is a mistake in the configuration', () => {
    const at = ['--data', data('never')]
    assert.match(
      refused(['serve', '--port', '65536', ...at], 2),
      /`port` is 65536 \(from --port\); allowed: at most 65535/,
    )
    assert.match(
      refused(['serve', '--port', 'http', ...at], 2),
      /`port` is "http" \(from --port\); allowed: a number/,
    )
    assert.match(refused(['serve', '--port=-1', ...at], 2), /`port` is "-1"/)
    assert.equal(existsSync(data('never')), false)
  })

  it('on a data directory that can’t be made or written names it', () => {
    writeFileSync(data('file'), '')
    mkdirSync(join(data('blocked'), 'master.key'), { recursive: true })
    mkdirSync(join(data('no-database'), 'rescind.db'), { recursive: true })
    for (const name of ['file', 'file/below', 'blocked', 'no-database']) {
      const message = refused(['serve', '--data', data(name), '--port', '0'], 1)
      assert.match(message, /^The store is not available: /)
      assert.ok(name === 'no-database' || message.includes(data(name)), message)
    }
    refused(['accounts', 'add', 'a@example.com', '--data', data('file')], 1)
  })

  it('of a command that needs data makes none', () => {
    const commands = [
      'accounts list',
      'accounts set-password a@example.com',
      'accounts compromise a@example.com --reason x',
      'accounts review',
      'audit show',
      'audit verify',
      'deliveries',
      'deliveries replay --all-dead',
      'guards',
      'keys drop x',
    ]
    for (const command of commands) {
      const message = refused([...command.split(' '), '--data', data('nowhere')], 1)
      const said = `There is no data in ${data('nowhere')}. Name where it is with --data or --config.\n`
      assert.ok(message.endsWith(said), `${command}: ${message}`)
      assert.equal(existsSync(data('nowhere')), false, command)
    }
    for (const command of ['keys list', 'keys rotate', 'accounts add a@example.com']) {
      const at = data(command.replaceAll(/\W/g, '-'))
      refused([...command.split(' '), '--data', at], 0)
      assert.ok(existsSync(join(at, 'rescind.db')), command)
    }
  })

  it('with a client that can’t be used names the client, and what is wrong with it', () => {
    const redirect_uris = ['https://app.example/callback']
    const cases: [unknown[], RegExp][] = [
      [[{ client_id: 'x' }], /`clients` has x, which can’t be used: .*(redirect_uris|client_secret)/],
      [[{ client_id: 'x', redirect_uris }], /`clients` has x, .*client_secret/],
      [
        [{ client_id: 'x', redirect_uris: ['callback'], token_endpoint_auth_method: 'none' }],
        /has x, .*redirect_uris/,
      ],
      [
        [
          {
            client_id: 'x',
            redirect_uris,
            client_secret: 'a secret of this client',
            token_endpoint_auth_method: 'magic',
          },
        ],
        /has x, .*auth_method/,
      ],
      [
        [{ client_id: 'x', redirect_uris, token_endpoint_auth_method: 'none', grant_types: ['password'] }],
        /has x, .*grant_types/,
      ],
      [
        [{ client_id: 'ok', redirect_uris, token_endpoint_auth_method: 'none' }, { client_id: 'y' }],
        /`clients` has y/,
      ],
      [
        [
          { client_id: 'x', redirect_uris },
          { client_id: 'x', redirect_uris },
        ],
        /`client_id` x is given in two places/,
      ],
      [[{ redirect_uris }], /`clients\.0\.client_id` is undefined .*allowed: a text|client_id/],
    ]
    for (const [clients, message] of cases)
      assert.match(refused(['serve', '--config', config({ clients })], 2), message)
    const resources = [
      { resource: 'https://a.example', scopes: {}, client_id: 'x', client_secret: 'a secret of the api' },
    ]
    const both = config({ clients: [{ client_id: 'x', redirect_uris }], resources })
    assert.match(refused(['serve', '--config', both], 2), /`client_id` x is given in two places/)
    assert.match(
      refused(['--config', config({ clients: [{ client_id: 'x' }], port })], 2, START),
      /has x, which/,
    )
  })

  it('with a flag that does not exist names it, and shows the usage', () => {
    assert.equal(
      refused(['--prot', '5000'], 2, START),
      "Unknown option '--prot'.\n\nUsage: npm start -- [--port N] [--data DIR] [--config FILE]\n",
    )
    assert.match(refused(['--port'], 2, START), /--port.*argument missing\.\n\nUsage: npm start/)
    assert.match(refused(['serve', '--prot', '1'], 2), /--prot[\s\S]*Usage: rescind/)
  })
})

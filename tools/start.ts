// `npm start`: the authority with the example API and page, on this machine, with a demo account.
import { parseArgs } from 'node:util'
import { ConfigError } from '../packages/authority/src/config.ts'
import { StoreUnavailable } from '../packages/authority/src/store/store.ts'
import { DEMO_PERSON, type Stack, startStack } from './stack.ts'

const options = {
  port: { type: 'string' },
  data: { type: 'string' },
  config: { type: 'string' },
} as const

function banner({ issuer, api, web }: Stack): string {
  return `
  Rescind is up.

    Authority      ${issuer}
    MCP endpoint   ${issuer}/mcp
    Example page   ${web}       ← sign in here, then log out and watch
    Example app    ${web}/notes ← an app on @rescind/client: log out offline, in two tabs, from /devices
    Example API    ${api}/notes

    Demo account   ${DEMO_PERSON.email}
    Password       ${DEMO_PERSON.password}

  Try:  curl -s ${issuer}/v1/revoke -H 'content-type: application/json' -d '{"accessToken":"nonsense"}'
  Or see the whole story in another terminal:  npm run demo

  Stop with Ctrl+C. The data stays; it is there again at the next start.
`
}

function explain(error: unknown): string {
  const { code, port, message } = error as Error & { code?: string; port?: number }
  if (code?.startsWith('ERR_PARSE_ARGS')) {
    return `${message.split(/\.\s/, 1)[0]}.\n\nUsage: npm start -- [--port N] [--data DIR] [--config FILE]`
  }
  if (code === 'EADDRINUSE')
    return `Port ${port} is taken. Name another: npm start -- --port N (N+1 and N+2 are used too).`
  if (error instanceof ConfigError || error instanceof StoreUnavailable) return message
  return (error as Error).stack ?? message
}

process.umask(0o077)
try {
  const { values } = parseArgs({ options })
  const stack = await startStack(values)
  process.stdout.write(banner(stack))
  let stopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, async () => {
      if (stopping) process.exit(1)
      stopping = true
      await stack.close()
      process.exit(0)
    })
  }
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  const { code } = error as Error & { code?: string }
  process.exit(error instanceof ConfigError || code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1)
}

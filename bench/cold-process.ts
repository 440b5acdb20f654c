// A guard that starts: from `createGuard` to the first token that it lets through. The modules are loaded before.
import { readFileSync } from 'node:fs'
import { createGuard, GuardError } from '../packages/guard/src/index.ts'
import { ticks } from './measure.ts'
import { serveCommands } from './worker.ts'

type Start = {
  issuer: string
  resource: string
  credentials: { clientId: string; clientSecret: string }
  token: string
  /** Dead tokens, one a line. */
  file: string
  /** How many of them are tried afterwards. */
  count: number
}

async function start({ issuer, resource, credentials, token, file, count }: Start) {
  const dead = readFileSync(file, 'latin1').split('\n', count)
  const from = ticks()
  const guard = createGuard({ issuer, audience: resource, credentials })
  await guard.ready()
  const ready = ticks()
  await guard.check(token)
  const checked = ticks()
  let refused = 0
  for (const one of dead) {
    const error = await guard.check(one).catch((thrown: unknown) => thrown)
    if (error instanceof GuardError && error.code === 'AUTHENTICATION_FAILED') refused++
  }
  guard.close()
  return { ready: (ready - from) / 1e6, checked: (checked - from) / 1e6, refused, asked: dead.length }
}

serveCommands({ start })

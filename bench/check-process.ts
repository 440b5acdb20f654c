// One contender of the `check` benchmark, on one core. Told over IPC what to do.
import { createPublicKey, type JsonWebKeyInput } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { importJWK, type JWK, jwtVerify } from 'jose'
import { createGuard, type Guard, GuardError } from '../packages/guard/src/index.ts'
import { shuffled, ticks } from './measure.ts'
import { loadFastJwt } from './peers.ts'
import { serveCommands } from './worker.ts'

export type Contender = 'guard' | 'fast-jwt' | 'jose'
export type Prepare = {
  contender: Contender
  /** The tokens, one a line; only so many of them are used. */
  file: string
  count: number
  issuer: string
  resource: string
  credentials: { clientId: string; clientSecret: string }
  publicKey: JWK
  /** How many tokens fast-jwt's cache has room for. */
  cacheSize: number
}

/** Copies are made so many at a time, and never while the clock runs. */
const COPIES = 1_000

let tokens: string[] = []
/** The bytes of each, as they would come out of a socket. */
let bytes: Buffer[] = []
let guard: Guard | undefined
let run: (batch: readonly string[]) => Promise<void>

async function prepare(options: Prepare) {
  const { contender, file, count, issuer, resource } = options
  bytes = readTokens(file).slice(0, count)
  tokens = bytes.map((one) => one.toString('latin1'))
  if (contender === 'guard') {
    const made = createGuard({ issuer, audience: resource, credentials: options.credentials })
    await made.ready()
    guard = made
    run = async (batch) => {
      for (let i = 0; i < batch.length; i++) await made.check(batch[i] as string)
    }
  } else if (contender === 'fast-jwt') run = fastJwt(options)
  else run = await jose(options)
  // Everything is verified once: what follows is the check of a token that was seen before.
  if (contender !== 'jose') for (let i = 0; i < tokens.length; i += 500) await run(tokens.slice(i, i + 500))
}

/** Synchronous, the tokens themselves as keys of its cache (its README's advice for speed), room for all of them. */
function fastJwt({ issuer, resource, publicKey, cacheSize }: Prepare) {
  const key = createPublicKey({ key: publicKey as JsonWebKeyInput['key'], format: 'jwk' }).export({
    type: 'spki',
    format: 'pem',
  })
  const verify = loadFastJwt().createVerifier({
    ...{ key, algorithms: ['EdDSA'], allowedIss: issuer, allowedAud: resource, checkTyp: 'at+jwt' },
    ...{ cache: cacheSize, cacheTTL: Infinity, cacheKeyBuilder: (token: string) => token },
  })
  return async (batch: readonly string[]) => {
    for (let i = 0; i < batch.length; i++) verify(batch[i] as string)
  }
}

async function jose({ issuer, resource, publicKey }: Prepare) {
  const key = await importJWK(publicKey, 'EdDSA')
  const expected = { issuer, audience: resource, typ: 'at+jwt', algorithms: ['EdDSA'] }
  return async (batch: readonly string[]) => {
    for (let i = 0; i < batch.length; i++) await jwtVerify(batch[i] as string, key, expected)
  }
}

function readTokens(file: string): Buffer[] {
  const all = readFileSync(file)
  const found: Buffer[] = []
  for (let start = 0, end = all.indexOf(10); end >= 0; start = end + 1, end = all.indexOf(10, start))
    found.push(all.subarray(start, end))
  return found
}

function atRandom(count: number): number[] {
  return Array.from({ length: count }, () => Math.floor(Math.random() * tokens.length))
}

/** @returns checks per second */
async function measure({ copies, count }: { copies: boolean; count: number }): Promise<number> {
  await heard()
  if (!copies) {
    const batch = atRandom(count).map((one) => tokens[one] as string)
    const start = ticks()
    await run(batch)
    return (count / (ticks() - start)) * 1e9
  }
  let time = 0
  for (let done = 0; done < count; done += COPIES) {
    const batch = atRandom(COPIES).map((one) => (bytes[one] as Buffer).toString('latin1'))
    const start = ticks()
    await run(batch)
    time += ticks() - start
  }
  return ((Math.ceil(count / COPIES) * COPIES) / time) * 1e9
}

/** A tight loop lets no message in; what came meanwhile is taken in before the next one. */
async function heard() {
  while (guard && guard.state().silentFor > 1_500) await new Promise((resolve) => setTimeout(resolve, 10))
  await new Promise((resolve) => setImmediate(resolve))
}

/** How many of these tokens are accepted, and how many are refused as dead. */
async function count({ file, from, to }: { file?: string; from: number; to: number }) {
  const asked = file === undefined ? tokens : readTokens(file).map((one) => one.toString('latin1'))
  const counted = { accepted: 0, refused: 0, failed: 0 }
  for (const token of shuffled(asked.slice(from, to))) {
    try {
      await guard?.check(token)
      counted.accepted++
    } catch (error) {
      if (error instanceof GuardError && error.code === 'AUTHENTICATION_FAILED') counted.refused++
      else counted.failed++
    }
  }
  return counted
}

serveCommands({
  prepare,
  measure,
  count,
  seq: () => guard?.state().seq ?? 0,
})

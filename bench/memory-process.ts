// What it takes to remember which of the issued tokens are dead. Run with --expose-gc.
import { randomBytes } from 'node:crypto'
import { LIST_SIZE } from '../packages/guard/src/status.ts'
import { createRevocationView } from '../packages/guard/src/view.ts'
import { serveCommands } from './worker.ts'

export type Way = 'view' | 'set' | 'map'
export type Memory = { bits: number; heap: number }

function used(): number {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function view(issued: number, revoked: number) {
  const made = createRevocationView('https://login.example')
  // The lists that speak of the issued tokens exist whether any of them is dead or not.
  for (let list = 0; list * LIST_SIZE < issued; list++) made.bits.list(list)
  for (let seq = 1; seq <= revoked; seq++) {
    const tokens = [Math.floor(((seq - 1) * issued) / revoked)]
    made.apply({
      seq,
      at: Date.now(),
      sid: randomBytes(16).toString('base64url'),
      reason: 'user_logout',
      tokens,
    })
  }
  return made
}

function ids(count: number): string[] {
  return Array.from({ length: count }, () => randomBytes(16).toString('base64url'))
}

const MAKE: Record<Way, (issued: number, revoked: number) => unknown> = {
  view,
  set: (_, revoked) => new Set(ids(revoked)),
  map: (_, revoked) => new Map(ids(revoked).map((jti) => [jti, 1_800_000_000])),
}

function measure({ way, issued, revoked }: { way: Way; issued: number; revoked: number }): Memory {
  const before = used()
  const kept: unknown[] = [MAKE[way](issued, revoked)]
  const heap = used() - before
  const bits = way === 'view' ? (kept[0] as ReturnType<typeof view>).bits.bytes : 0
  kept.pop()
  return { bits, heap }
}

serveCommands({ measure })

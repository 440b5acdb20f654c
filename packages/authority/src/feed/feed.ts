import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type FeedMessage, type Heartbeat, MAX_REPORT, type RevocationRecord } from '@rescind/guard/protocol'
import { WebSocketServer } from 'ws'
import type { ResourceConfig } from '../config.ts'
import type { LoggedRevocation, LogPosition } from '../domain/revocation.ts'
import { addressOf } from '../http/address.ts'
import type { Store } from '../store/store.ts'
import { catchUp } from './catch-up.ts'
import { type Confirmation, confirm } from './confirm.ts'
import { concerned, concerns, createGroups, type Group, indexGroups, regroup } from './groups.ts'
import {
  type ConnectedGuard,
  dropGuard,
  framesOf,
  goLive,
  openGuardSocket,
  sendAndWait,
  sendLive,
  textFrame,
} from './guard-socket.ts'
import { lineOf, toRecord } from './record.ts'

const HEARTBEAT = 1_000
/** A guard acknowledges each heartbeat; one that said nothing for this long, in ms, is gone. */
const SILENCE = 10_000
const MAX_GUARDS = 10_000
/** One API must not take the places of all others. */
const MAX_GUARDS_OF_ONE = 1_000
/** How many revocations are timed until guards acknowledge them. */
const TIMED = 10_000
/** So many guards are written to in no time. */
const FEW = 64

/** A guard that is connected, for those who ask. */
export type GuardState = {
  guard: string
  resources: string[]
  clientId: string
  address: string
  agent: string
  /** When it connected, in ms. */
  since: number
  /** It has applied every revocation up to this `seq`. */
  acknowledged: number
  /** How far that is behind the newest one that concerns it. */
  behind: number
  /** How long ago it was heard, in ms. */
  silentFor: number
}

export type Feed = {
  /**
   * Takes over the connection of a resource server that has authenticated and has everything up to `since`.
   * @returns false when there are too many; the connection is still the caller's then
   */
  connect(req: IncomingMessage, socket: Duplex, head: Buffer, clientId: string, since: LogPosition): boolean
  /** Sends a revocation to every guard that it concerns. Call it in `seq` order. */
  publish(revocation: LoggedRevocation): void
  /** Tells every guard the signing keys as they are now, if they are others than before. */
  announceKeys(): void
  /** Other APIs from now on; guards of one that changed are to connect again. */
  regroup(resources: ResourceConfig[]): void
  confirm(revocations: LoggedRevocation[], ms: number): Promise<Confirmation>
  guards(): GuardState[]
  /** How many guards are connected, by client. */
  counts(): Record<string, number>
  /** Whether a client’s guards have to hear of any of these. */
  concerns(clientId: string, revocations: LoggedRevocation[]): boolean
  /** The newest revocation that was published. */
  readonly head: LogPosition
  close(): void
}

export type FeedOptions = {
  store: Store
  resources: ResourceConfig[]
  trustProxy: boolean
  /** The newest revocation so far. */
  head: LogPosition
  /** The time in ms. */
  now: () => number
  /** The signing keys as they are now. */
  kids: () => string[]
  /** Resolves once all that was committed by then, anywhere, was published. */
  caughtUp: () => Promise<void>
  /** Tokens of status lists below this one have all expired. */
  firstList: () => number
  /** Hears how long after its commit a guard has applied a revocation, in seconds. */
  onAcknowledged: (seconds: number, guard: string) => void
  /** Hears which sessions the guards of these resources have checked. */
  onSeen: (sids: string[], resources: string[]) => void
}

/** The live feed: each revocation, in order, to every guard of an API that it concerns, and what they acknowledge. */
export function createFeed(options: FeedOptions): Feed {
  const { store, now, kids, firstList, caughtUp } = options
  const server = new WebSocketServer({
    ...{ noServer: true, perMessageDeflate: false, maxPayload: MAX_REPORT, autoPong: false },
  })
  const groups = createGroups(options.resources)
  const acknowledged = timeAcknowledgements(options.onAcknowledged)
  const sender = createSender(groups, caughtUp)
  let { seq: newest, tag } = options.head

  const place = () => ({ seq: newest, tag })
  const heartbeat = ({ last }: Group): Heartbeat => ({
    ...{ seq: newest, tag, prev: last, at: now(), firstList: firstList() },
  })
  async function welcome(guard: ConnectedGuard, group: Group, since: LogPosition) {
    if (guard.socket.readyState !== guard.socket.OPEN) return
    const has = await catchUp(guard, group, { store, since, now, newest: place, caughtUp })
    if (has === undefined) return sendAndWait(guard, write({ type: 'reload' }))
    const who = { guard: guard.id, resources: group.resources, kids: kids() }
    const ready = { ...heartbeat(group), ...has.upTo, prev: has.prev }
    goLive(guard, write({ type: 'ready', ...who, ...ready }))
  }
  const stopBeating = startBeating(groups, sender, (group) =>
    write({ type: 'heartbeat', ...heartbeat(group) }),
  )

  return {
    connect(req, rawSocket, head, clientId, since) {
      const group = groups.get(clientId)
      if (!group || group.guards.size >= MAX_GUARDS_OF_ONE || server.clients.size >= MAX_GUARDS) return false
      server.handleUpgrade(req, rawSocket, head, (socket) => {
        const guard = openGuardSocket(socket, rawSocket, {
          address: addressOf(req, options.trustProxy),
          agent: `${req.headers['user-agent'] ?? ''}`.slice(0, 100),
          now: now(),
          newest: () => newest,
          ...{ caughtUp: sender.allSent, onAcknowledged: acknowledged.by },
          onSeen: (sids) => options.onSeen(sids, group.resources),
          onClose: (gone) => group.guards.delete(gone),
        })
        group.guards.add(guard)
        group
          .turns(() => welcome(guard, group, since))
          .catch(() => dropGuard(guard, 1013, 'not available; try again'))
      })
      return true
    },
    publish(revocation) {
      newest = revocation.seq
      tag = revocation.tag
      const record = toRecord(revocation)
      if (!record) return
      acknowledged.start(newest)
      sender.send(revocation, record)
    },
    announceKeys: keyAnnouncement(groups, kids),
    regroup: (resources) => takeOver(groups, resources, sender),
    confirm: (revocations, ms) => confirm(groups.values(), revocations, ms),
    guards: () => [...groups.values()].flatMap(statesOf),
    counts: () => countsOf(groups),
    concerns: (clientId, revocations) => concernsAny(groups.get(clientId), revocations),
    get head() {
      return place()
    },
    close: () => closeAll(server, stopBeating),
  }
}

/** Any change by another process has us read the keys again; guards hear only of what is new to them. */
function keyAnnouncement(groups: Map<string, Group>, kids: () => string[]) {
  let announced = kids().join()
  return () => {
    const current = kids()
    if (current.join() === announced) return
    announced = current.join()
    const frame = write({ type: 'keys', kids: current })
    for (const { guards } of groups.values()) for (const guard of guards) sendLive(guard, frame)
  }
}

/**
 * Beats each second. Who can’t say that nothing was revoked says nothing: guards turn to another process, and then trust their
 * memory no more.
 */
function startBeating(
  groups: Map<string, Group>,
  sender: Sender,
  frameFor: (group: Group) => Buffer,
): () => void {
  async function beatAll() {
    await sender.allSent()
    // What came since is said to come before a heartbeat, so it has to.
    sender.flush()
    for (const group of groups.values()) beatTo(group, frameFor(group))
  }
  const beat = setInterval(() => void beatAll().catch(() => {}), HEARTBEAT)
  beat.unref()
  return () => clearInterval(beat)
}

function countsOf(groups: Map<string, Group>): Record<string, number> {
  return Object.fromEntries([...groups].map(([clientId, { guards }]) => [clientId, guards.size]))
}

function concernsAny(group: Group | undefined, revocations: LoggedRevocation[]): boolean {
  return group !== undefined && revocations.some((one) => concerns(group, one) && toRecord(one))
}

function takeOver(groups: Map<string, Group>, resources: ResourceConfig[], sender: Sender) {
  for (const guard of regroup(groups, resources)) dropGuard(guard, 1012, 'the configuration has changed')
  sender.regrouped()
}

function closeAll({ clients }: WebSocketServer, stopBeating: () => void) {
  stopBeating()
  for (const socket of clients) {
    socket.close(1012, 'the authority is restarting')
    setTimeout(() => socket.terminate(), 500).unref()
  }
}

type Sender = ReturnType<typeof createSender>

/**
 * Sends revocations to whom they concern; all that came with one commit goes out in one write a guard. Where there are
 * many guards, whoever revoked is answered first: it is durable, and a thousand writes take their time.
 */
function createSender(groups: Map<string, Group>, caughtUp: FeedOptions['caughtUp']) {
  // Most revocations are for few of many groups, so none is looked at that has nothing to hear.
  let byResource = indexGroups(groups)
  const pending = new Set<Group>()
  let flushing = false

  function flush(most = Infinity) {
    for (const group of pending) {
      if (group.guards.size > most) continue
      pending.delete(group)
      for (const frame of framesOf(group.pending.splice(0)))
        for (const guard of group.guards) sendLive(guard, frame)
    }
  }
  function send(revocation: LoggedRevocation, record: RevocationRecord) {
    for (const group of concerned(groups, byResource, revocation)) {
      if (group.guards.size > 0) {
        group.pending.push(lineOf(record, revocation.tag, group.last))
        pending.add(group)
      }
      group.last = record.seq
    }
    if (flushing) return
    flushing = true
    queueMicrotask(() => flush(FEW))
    setImmediate(() => {
      flushing = false
      flush()
    })
  }
  return {
    ...{ send, flush },
    /** Whoever is told that there is nothing more has to have been sent what there was. */
    async allSent() {
      await caughtUp()
      flush()
    },
    regrouped() {
      byResource = indexGroups(groups)
    },
  }
}

function beatTo({ guards }: Group, frame: Buffer) {
  for (const guard of guards) {
    guard.messages = 0
    if (performance.now() - guard.heardAt > SILENCE) dropGuard(guard, 1013, 'went silent; resume')
    else sendLive(guard, frame)
  }
}

/** Knows when the newest revocations were committed. */
function timeAcknowledgements(onAcknowledged: (seconds: number, guard: string) => void) {
  const at = new Map<number, number>()
  return {
    start(seq: number) {
      at.set(seq, performance.now())
      // The one that was timed so many revocations ago, if it was.
      at.delete(seq - TIMED)
    },
    by(seq: number, guard: string) {
      const since = at.get(seq)
      if (since !== undefined) onAcknowledged((performance.now() - since) / 1000, guard)
    },
  }
}

function statesOf({ clientId, resources, last, guards }: Group): GuardState[] {
  return [...guards].map(({ id, address, agent, since, acknowledged, heardAt }) => ({
    ...{ guard: id, resources, clientId, address, agent, since, acknowledged },
    behind: Math.max(0, last - acknowledged),
    silentFor: Math.round(performance.now() - heardAt),
  }))
}

function write(message: FeedMessage): Buffer {
  return textFrame(JSON.stringify(message))
}

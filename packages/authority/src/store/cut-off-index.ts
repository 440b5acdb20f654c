import type { CutOff } from '../domain/cut-off.ts'

/** Cut-offs in memory, by client, as every session that is read is held against those of its client and of all. */
export type CutOffIndex = {
  /** Those of everybody and of a client, in the order in which they were made. */
  of(clientId: string | undefined): CutOff[]
  /** Those that a new one has to look at: of its client, or of every client. */
  for(clientId: string | undefined): CutOff[]
  add(cutOff: CutOff): void
  all(): CutOff[]
}

/** @param cutOffs in the order in which they were made */
export function createCutOffIndex(cutOffs: readonly CutOff[] = []): CutOffIndex {
  const ofAll = new Map<string | undefined, CutOff[]>()
  function add(cutOff: CutOff) {
    const some = ofAll.get(cutOff.clientId)
    if (some) some.push(cutOff)
    else ofAll.set(cutOff.clientId, [cutOff])
  }
  const of = (clientId: string | undefined): CutOff[] => {
    const everybody = ofAll.get(undefined) ?? []
    const own = (clientId !== undefined && ofAll.get(clientId)) || []
    if (own.length === 0) return everybody
    return everybody.length === 0 ? own : [...everybody, ...own].sort((a, b) => a.seq - b.seq)
  }
  const all = () => [...ofAll.values()].flat()
  for (const one of cutOffs) add(one)
  return { of, add, all, for: (clientId) => (clientId === undefined ? all() : of(clientId)) }
}

/** Those of another index, and over them what is added here; the other one stays as it is. */
export function addingTo(base: CutOffIndex): CutOffIndex {
  const own = createCutOffIndex()
  const both = (ask: (index: CutOffIndex) => CutOff[]) => {
    const added = ask(own)
    return added.length === 0 ? ask(base) : [...ask(base), ...added]
  }
  return {
    of: (clientId) => both((index) => index.of(clientId)),
    for: (clientId) => both((index) => index.for(clientId)),
    all: () => both((index) => index.all()),
    add: own.add,
  }
}

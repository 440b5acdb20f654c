import type { Adapter, AdapterPayload } from 'oidc-provider'
import { hashSecret } from '../domain/secret.ts'
import type { Seal } from '../keys/seal.ts'
import type { Store, StoredRecord } from '../store/store.ts'
import { currentUnit, readInUnit } from './unit.ts'

/** Kept this long after it expired, in s: so that "expired" can be told from "unknown". */
const LINGER = 600

/**
 * Keeps the protocol library's records: ids hashed, payloads sealed, writes held back in the request's unit.
 * Access and refresh tokens never come here; they are ours.
 */
export function createAdapter(store: Store, seal: Seal, now: () => number): new (model: string) => Adapter {
  return class RecordAdapter implements Adapter {
    readonly model: string

    constructor(model: string) {
      this.model = model
    }

    async upsert(id: string, payload: AdapterPayload, expiresIn?: number) {
      const unit = currentUnit()
      const hashed = hashSecret(id)
      const { uid, grantId } = payload
      unit.overlay.set(`${this.model}:${hashed}`, payload)
      unit.records.push({
        op: 'put',
        model: this.model,
        id: hashed,
        payload: seal.close(JSON.stringify(payload), `${this.model}:${hashed}`),
        ...(expiresIn ? { expiresAt: Math.floor(now() / 1000) + expiresIn + LINGER } : {}),
        ...(uid ? { uid: `${uid}` } : {}),
        ...(grantId ? { sid: grantId } : {}),
        // Of two requests with the same proof, the one that commits second has to fail.
        ...(this.model === 'ReplayDetection' ? { once: true as const } : {}),
      })
    }

    async find(id: string) {
      const hashed = hashSecret(id)
      const own = currentUnit().overlay.get(`${this.model}:${hashed}`)
      if (own !== undefined) return (own ?? undefined) as AdapterPayload | undefined
      const stored = await readInUnit(store, { kind: 'record', model: this.model, id: hashed })
      if (stored && this.model === 'Client') currentUnit().client = hashed
      return this.#open(stored, hashed)
    }

    async findByUid(uid: string) {
      const stored = await readInUnit(store, { kind: 'record-by-uid', model: this.model, uid })
      return this.#open(stored, stored?.id)
    }

    async findByUserCode() {
      return undefined
    }

    async consume(id: string) {
      currentUnit().records.push({ op: 'consume', model: this.model, id: hashSecret(id), at: now() })
    }

    async destroy(id: string) {
      const hashed = hashSecret(id)
      const unit = currentUnit()
      unit.overlay.set(`${this.model}:${hashed}`, null)
      unit.records.push({ op: 'delete', model: this.model, id: hashed })
    }

    async revokeByGrantId(sid: string) {
      currentUnit().ends.add(sid)
    }

    #open(stored: StoredRecord | undefined, id: string | undefined): AdapterPayload | undefined {
      if (!stored || id === undefined) return undefined
      const payload = JSON.parse(seal.open(stored.payload, `${this.model}:${id}`)) as AdapterPayload
      return stored.consumed === undefined ? payload : { ...payload, consumed: stored.consumed }
    }
  }
}

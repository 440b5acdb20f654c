import { hash } from 'node:crypto'
import type { AuditRecord } from '../domain/audit.ts'
import type { DeliveryKind } from '../store/deliveries.ts'

/** The same for the same record and receiver, however often it is planned. */
export function deliveryId({ n, hash: link }: AuditRecord, kind: DeliveryKind, receiver: string): string {
  return `msg_${hash('sha256', JSON.stringify([n, link, kind, receiver]), 'base64url').slice(0, 32)}`
}

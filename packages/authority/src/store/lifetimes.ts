import { hash } from 'node:crypto'
import type { Policy } from '../domain/policy.ts'

/** Tells the lifetimes of a policy from others: with other ones every live session is looked at anew by the timer. */
export function lifetimesMark({ sessionIdle, sessionAbsolute, clients }: Policy): number {
  const lifetimes = JSON.stringify([sessionIdle, sessionAbsolute, clients])
  return Number.parseInt(hash('sha256', lifetimes).slice(0, 12), 16)
}

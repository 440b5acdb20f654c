export type { Needs } from './challenges.ts'
export type { AccessTokenClaims } from './claims.ts'
export type { Close, Connections, TokenOfConnection } from './connections.ts'
export { GuardError, type GuardErrorCode } from './errors.ts'
export {
  createGuard,
  type Guard,
  type GuardOptions,
  type GuardRequest,
  type SessionEnded,
} from './guard.ts'
export { type GuardedRequest, type ProtectOptions, protect, sendGuardError } from './http.ts'
export type { CheckNeeds, GuardSession, Proof } from './judge.ts'

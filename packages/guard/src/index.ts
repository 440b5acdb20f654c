export type { AccessTokenClaims } from './claims.ts'
export { GuardError, type GuardErrorCode } from './errors.ts'
export { createGuard, type Guard, type GuardOptions, type GuardRequest, type GuardSession } from './guard.ts'
export { type GuardedRequest, protect, sendGuardError } from './http.ts'

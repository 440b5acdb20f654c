import type { AccessTokenClaims } from '@rescind/guard/claims'

/** Who is calling, and from where. */
export type Caller = { address: string; claims?: AccessTokenClaims }

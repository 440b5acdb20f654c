import { randomBytes } from 'node:crypto'
import type { Authority } from '../packages/authority/src/authority.ts'
import { hashSecret } from '../packages/authority/src/domain/secret.ts'
import { accessTokenClaims, signAccessToken } from '../packages/authority/src/oauth/access-token.ts'
import { API } from './setup.ts'

/** Opens a session as the code exchange does, without a person: for tests that need thousands. */
export async function openSession(authority: Authority): Promise<{ sid: string; token: string }> {
  const { store, indexes, config, now, ring } = authority
  const at = now()
  const iat = Math.floor(at / 1000)
  const [sid = '', jti = ''] = [randomBytes(16), randomBytes(16)].map((bytes) => bytes.toString('base64url'))
  const token = { jti, idx: await indexes.next(), exp: iat + config.policy.accessTokenTtl }
  const session = {
    ...{ sid, sub: `account of ${sid}`, clientId: 'app', openedAt: at, refreshedAt: at, authTime: iat },
    ...{ scope: 'notes:read', resources: { [API]: 'notes:read' }, resource: API },
    ...{ ticketHash: hashSecret(sid), tokens: [token] },
  }
  await store.transact({ kind: 'write', records: [], open: session, audit: [], at })
  const claims = accessTokenClaims(config.issuer, session, { ...token, iat, resource: API })
  return { sid, token: signAccessToken(ring(), claims) }
}

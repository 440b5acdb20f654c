import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { logOutEverywhere } from '../account-endings.ts'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { readJson } from '../http/body.ts'
import type { Account, Query } from '../store/store.ts'
import { validate } from '../v1.ts'
import { createProviderAuthentication } from './identity-provider.ts'
import type { IdentityProvider } from './identity-provider-settings.ts'
import { GLOBAL_TOKEN_REVOCATION } from './routes.ts'

const text = z.string().min(1).max(500)
/** Subject identifiers (RFC 9493 §3.2.2 to §3.2.4): each has the members of its format and no others. */
const FORMATS = {
  email: z.strictObject({
    format: z.literal('email'),
    email: z
      .string()
      .max(254)
      .regex(/^[^\s@]+@[^\s@]+$/),
  }),
  iss_sub: z.strictObject({ format: z.literal('iss_sub'), iss: text, sub: text }),
  opaque: z.strictObject({ format: z.literal('opaque'), id: text }),
}
const formats = Object.keys(FORMATS) as (keyof typeof FORMATS)[]
const known = z.strictObject({ sub_id: z.looseObject({ format: z.enum(formats) }) })
const input = z.strictObject({
  sub_id: z.discriminatedUnion('format', [FORMATS.email, FORMATS.iss_sub, FORMATS.opaque]),
})
type SubjectId = z.infer<typeof input>['sub_id']

/**
 * `POST /oauth/global-token-revocation` (draft-parecki-oauth-global-token-revocation): an identity provider ends all
 * sessions of a person. 204 once that is durable, also when there was none left. Who is not one of the configured
 * providers is refused before the body is looked at, and so learns nothing about who has an account.
 * @returns a function that throws OAuthError [401]; RescindError VALIDATION_ERROR, ACCESS_DENIED, NOT_FOUND,
 *   RATE_LIMITED, UNAVAILABLE
 */
export function createGlobalTokenRevocation(authority: Authority) {
  const { config, limits } = authority
  const authenticate = createProviderAuthentication(authority, `${config.issuer}${GLOBAL_TOKEN_REVOCATION}`)
  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const provider = await authenticate(req)
    limits.globalRevocation.spend(provider.client_id)
    const body = await readJson(req)
    validate(known, body)
    const account = await subjectOf(authority, provider, validate(input, body).sub_id)
    const actor = `client:${provider.client_id}`
    await logOutEverywhere(authority, account.sub, actor, addressOf(req, config.trustProxy))
    res.writeHead(204, { 'cache-control': 'no-store' }).end()
  }
}

/** Whom a provider means, if it is somebody that it may speak for. */
async function subjectOf(authority: Authority, provider: IdentityProvider, id: SubjectId): Promise<Account> {
  const query = queryOf(authority, provider, id)
  const account = query && (await authority.store.read(query))
  // Another provider's people are unknown to this one: it must not find out who they are.
  if (!account || !within(provider, account.email)) {
    throw new RescindError('NOT_FOUND', 'No account has this subject identifier.')
  }
  return account
}

type AccountQuery = Extract<Query, { kind: 'account' | 'account-by-sub' }>

/** Nothing, where it can mean nobody: no subject of another issuer is linked to an account of ours. */
function queryOf({ config }: Authority, provider: IdentityProvider, id: SubjectId): AccountQuery | undefined {
  switch (id.format) {
    case 'opaque':
      return { kind: 'account-by-sub', sub: id.id }
    case 'email':
      if (within(provider, id.email)) return { kind: 'account', email: id.email }
      throw new RescindError('ACCESS_DENIED', 'This identity provider may not log out people of that domain.')
    case 'iss_sub':
      if (id.iss === config.issuer) return { kind: 'account-by-sub', sub: id.sub }
      if (id.iss === provider.issuer) return undefined
      throw new RescindError('ACCESS_DENIED', 'This identity provider may not speak for that issuer.')
  }
}

function within({ emailDomains }: IdentityProvider, email: string): boolean {
  return emailDomains?.includes(email.slice(email.lastIndexOf('@') + 1).toLowerCase()) ?? true
}

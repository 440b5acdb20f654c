/** Where the OAuth endpoints are. */
export const ROUTES = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  jwks: '/oauth/jwks',
  registration: '/oauth/register',
  pushed_authorization_request: '/oauth/par',
  end_session: '/oauth/logout',
  userinfo: '/oauth/userinfo',
  revocation: '/oauth/revoke',
  introspection: '/oauth/introspect',
} as const

/** Where the sign-in of an agent ends: a page that shows the code. */
export const CODE_PATH = '/oauth/code'

/** The protocol library knows nothing of this one (draft-parecki-oauth-global-token-revocation). */
export const GLOBAL_TOKEN_REVOCATION = '/oauth/global-token-revocation'

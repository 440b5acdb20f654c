import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { DEFAULT_POLICY, type Lifetimes, MAX_ACCESS_TOKEN_TTL, type Policy } from './domain/policy.ts'
import { mailSettings, webhookSettings, webUrl } from './notify/settings.ts'
import { ambiguousName, identityProviderSettings } from './oauth/identity-provider-settings.ts'

const seconds = (text: string, fallback: number, max = 10 * 365 * 86_400) =>
  z.number().int(text).min(1, text).max(max, text).default(fallback)

const lifetime = (text: string, max = 10 * 365 * 86_400) =>
  z.number().int(text).min(1, text).max(max, text).optional()

const httpUrl = (value: string) => /^https?:$/.test(URL.parse(value)?.protocol ?? '')

const clientSchema = z
  .looseObject({
    client_id: z.string('a text').min(1).max(200),
    /** Ours: a first-party client is not asked for consent. */
    firstParty: z.boolean().default(false),
    /** Lifetimes of its own. */
    accessTokenSeconds: lifetime('1 to 3600 seconds', MAX_ACCESS_TOKEN_TTL),
    idleSeconds: lifetime('at least 1 second'),
    absoluteSeconds: lifetime('at least 1 second'),
  })
  .describe('a client, in the field names of RFC 7591')

const resourceSchema = z.strictObject({
  /** Its identifier: the `resource` that clients ask for and the `aud` of its tokens (RFC 8707). */
  resource: z.string().refine(httpUrl, 'an absolute http(s) URL'),
  name: z.string().default('API'),
  /** Scope name to what a person reads on the consent page. */
  scopes: z.record(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'a scope name'), z.string()),
  /** What its guard authenticates with, for the feed and introspection. */
  client_id: z.string().min(1).optional(),
  client_secret: z.string().min(16, 'a secret of at least 16 characters').optional(),
})

const schema = z.strictObject({
  issuer: z
    .string()
    .refine((value) => httpUrl(value) && !value.endsWith('/') && new URL(value).pathname === '/', {
      message: 'an http(s) origin such as https://login.example.com, without a path',
    })
    .optional(),
  host: z.string().min(1).default('127.0.0.1'),
  port: z.number().int().min(0).max(65_535).default(4600),
  data: z.string().min(1).default('data'),
  /** A PostgreSQL database; without it the data is in a file in `data`. */
  store: z
    .string()
    .regex(/^postgres(ql)?:\/\/./, 'a URL such as postgres://user:password@host:5432/database')
    .optional(),
  name: z.string().min(1).max(60).default('Rescind'),
  masterKey: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43}$/, '32 random bytes in base64url (43 characters)')
    .optional(),
  trustProxy: z.boolean().default(false),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  tokens: z
    .strictObject({
      accessTokenSeconds: seconds('1 to 3600 seconds', DEFAULT_POLICY.accessTokenTtl, MAX_ACCESS_TOKEN_TTL),
      refreshGraceSeconds: z
        .number()
        .int()
        .min(0)
        .max(60)
        .default(DEFAULT_POLICY.refreshGrace / 1000),
    })
    .prefault({}),
  sessions: z
    .strictObject({
      idleSeconds: seconds('at least 1 second', DEFAULT_POLICY.sessionIdle / 1000),
      absoluteSeconds: seconds('at least 1 second', DEFAULT_POLICY.sessionAbsolute / 1000),
      maxPerAccount: z.number().int().min(1).max(1000).default(DEFAULT_POLICY.maxSessions),
    })
    .prefault({}),
  /** How long audit records are kept, in days. */
  audit: z.strictObject({ keepDays: z.number().int().min(30).max(36_500).default(400) }).prefault({}),
  revocation: z.strictObject({ cascade: z.enum(['token', 'session']).default('token') }).prefault({}),
  /** Rules about what is suspicious; each can be switched off with `false`. */
  suspicion: z
    .strictObject({
      /** A refresh token that two devices use within its grace window ends its session. */
      impossibleReuse: z.boolean().default(true),
      /** A sign-in after so many failures within so many minutes, from two networks, is no recent one. */
      guessing: z
        .union([
          z.literal(false),
          z.strictObject({
            failures: z.number().int().min(2).max(100).default(10),
            minutes: z.number().int().min(1).max(60).default(10),
          }),
        ])
        .prefault({}),
    })
    .prefault({}),
  /** Between “not ready” and the end of accepting: so long load balancers may take to notice. */
  shutdown: z.strictObject({ delaySeconds: z.number().min(0).max(300).default(0) }).prefault({}),
  /** Serves Prometheus metrics on a port of their own. */
  metrics: z
    .strictObject({ host: z.string().min(1).default('127.0.0.1'), port: z.number().int().min(0).max(65_535) })
    .optional(),
  /** Where spans go: an OpenTelemetry collector, and how many of the traces that begin here it gets. */
  tracing: z
    .strictObject({
      endpoint: z.string().refine(webUrl, 'an http(s) URL without a user or a fragment'),
      ratio: z.number().min(0).max(1).default(1),
    })
    .optional(),
  /** The e-mails of the accounts that may administer this authority over HTTP. */
  admins: z
    .array(z.string().regex(/^[^\s@]{1,64}@[^\s@]{1,189}$/, 'an e-mail address'))
    .max(100)
    .default([]),
  registration: z.strictObject({ open: z.boolean().default(true) }).prefault({}),
  /** Who is told of what happened, and how people get mail about it. */
  webhooks: z.array(webhookSettings).max(50).default([]),
  mail: mailSettings.optional(),
  /** Who else may log people out. */
  identityProviders: z.array(identityProviderSettings).max(100).default([]),
  clients: z.array(clientSchema).max(1000).default([]),
  resources: z.array(resourceSchema).max(1000).default([]),
})

export type Config = Omit<z.infer<typeof schema>, 'issuer'> & { issuer: string; policy: Policy }
export type ResourceConfig = z.infer<typeof resourceSchema>
export type ClientConfig = z.infer<typeof clientSchema>

/** A setting that can't be used. The message names it, what was given, and what is allowed. */
export class ConfigError extends Error {
  readonly code = 'CONFIGURATION'
}

const ENVIRONMENT: Record<string, string> = {
  RESCIND_ISSUER: 'issuer',
  RESCIND_HOST: 'host',
  RESCIND_PORT: 'port',
  RESCIND_DATA: 'data',
  RESCIND_STORE: 'store',
  RESCIND_NAME: 'name',
  RESCIND_MASTER_KEY: 'masterKey',
  RESCIND_TRUST_PROXY: 'trustProxy',
  RESCIND_LOG_LEVEL: 'logLevel',
}

type Source = { value: unknown; from: string }

/**
 * Reads the configuration: defaults, then the file, then the environment, then the flags.
 * @param flags values by setting name, as the command line gave them
 * @param environment usually `process.env`
 * @throws ConfigError
 */
export function readConfig(
  flags: Record<string, string | undefined>,
  environment: Record<string, string | undefined>,
): Config {
  const given = new Map<string, Source>()
  const file = flags.config ?? environment.RESCIND_CONFIG
  for (const [key, value] of Object.entries(file ? readFile(file) : {}))
    given.set(key, { value, from: file as string })
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('RESCIND_') || value === undefined || variable === 'RESCIND_CONFIG') continue
    const key = ENVIRONMENT[variable]
    if (!key)
      throw new ConfigError(`${variable} is not a setting. Known: ${Object.keys(ENVIRONMENT).join(', ')}.`)
    given.set(key, { value: fromText(key, value), from: variable })
  }
  for (const [flag, value] of Object.entries(flags)) {
    if (value === undefined || flag === 'config') continue
    given.set(flag, { value: fromText(flag, value), from: `--${flag}` })
  }
  return check(given)
}

function readFile(path: string): Record<string, unknown> {
  if (!existsSync(path)) throw new ConfigError(`The configuration file ${resolve(path)} does not exist.`)
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>
  } catch (error) {
    // Without the piece of the file that is shown after it: it may be a secret.
    const said = (error as Error).message.replace(/, (\.\.\.)?".*$/s, '')
    throw new ConfigError(`The configuration file ${path} is not valid JSON: ${said}`)
  }
  throw new ConfigError(`The configuration file ${path} must hold one JSON object.`)
}

function fromText(key: string, text: string): unknown {
  if (key === 'port' && /^\d+$/.test(text)) return Number(text)
  if (key === 'trustProxy' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

function check(given: Map<string, Source>): Config {
  const result = schema.safeParse(Object.fromEntries([...given].map(([key, source]) => [key, source.value])))
  if (!result.success)
    throw new ConfigError(result.error.issues.map((issue) => explain(issue, given)).join('\n'))
  const config = result.data
  const issuer = config.issuer ?? `http://localhost:${config.port}`
  const { protocol, hostname } = new URL(issuer)
  if (protocol === 'http:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname)) {
    throw new ConfigError(
      `\`issuer\` is ${issuer}; allowed: https, or http on localhost. Tokens must not travel in clear.`,
    )
  }
  if (config.clients.some((one) => one.client_id === 'rescind-cli'))
    throw new ConfigError('`clients` has rescind-cli; that is the command line’s own id.')
  for (const { resource, scopes, client_id, client_secret } of config.resources) {
    const own = resource === `${issuer}/v1` || resource.startsWith(`${issuer}/v1/`)
    if (own || Object.keys(scopes).some((scope) => scope.startsWith('rescind:')))
      throw new ConfigError(
        `\`resources\` has ${resource}; the authority’s own API and scopes are not for clients.`,
      )
    const other = config.resources.find(
      (one) => one.client_id === client_id && one.client_secret !== client_secret,
    )
    if (client_id !== undefined && other)
      throw new ConfigError(`\`resources\` has two secrets for the client_id ${client_id}; allowed: one.`)
  }
  const ids = [...config.clients, ...config.identityProviders].map(({ client_id }) => client_id)
  const guards = new Set(config.resources.flatMap(({ client_id }) => client_id ?? []))
  const taken = ids.find((id, index) => guards.has(id) || ids.indexOf(id) !== index)
  if (taken !== undefined)
    throw new ConfigError(`The \`client_id\` ${taken} is given in two places; allowed: one.`)
  const ambiguous = ambiguousName(config.identityProviders)
  if (ambiguous !== undefined)
    throw new ConfigError(
      `\`identityProviders\` has ${ambiguous} twice; allowed: names of one provider each.`,
    )
  return { ...config, issuer, policy: policyOf(config) }
}

function policyOf(config: z.infer<typeof schema>): Policy {
  return {
    ...DEFAULT_POLICY,
    accessTokenTtl: config.tokens.accessTokenSeconds,
    refreshGrace: config.tokens.refreshGraceSeconds * 1000,
    sessionIdle: config.sessions.idleSeconds * 1000,
    sessionAbsolute: config.sessions.absoluteSeconds * 1000,
    cascade: config.revocation.cascade,
    maxSessions: config.sessions.maxPerAccount,
    impossibleReuse: config.suspicion.impossibleReuse,
    clients: Object.fromEntries(config.clients.map((client) => [client.client_id, ownLifetimes(client)])),
  }
}

function ownLifetimes({
  accessTokenSeconds,
  idleSeconds,
  absoluteSeconds,
}: ClientConfig): Partial<Lifetimes> {
  return {
    ...(accessTokenSeconds === undefined ? {} : { accessTokenTtl: accessTokenSeconds }),
    ...(idleSeconds === undefined ? {} : { sessionIdle: idleSeconds * 1000 }),
    ...(absoluteSeconds === undefined ? {} : { sessionAbsolute: absoluteSeconds * 1000 }),
  }
}

const SECRET_SETTINGS = /secret|masterKey|^store$|^mail\b|^webhooks|^identityProviders/i

function explain(issue: z.core.$ZodIssue, given: Map<string, Source>): string {
  const path = issue.path.map(String)
  const name = path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => `\`${[...path, key].join('.')}\``).join(', ')
    return `${keys} is not a setting (from ${given.get(issue.keys[0] ?? '')?.from ?? given.get(path[0] ?? '')?.from ?? 'the file'}).`
  }
  const source = given.get(path[0] ?? '')
  let value: unknown = source?.value
  for (const step of path.slice(1)) value = (value as Record<string, unknown> | undefined)?.[step]
  const shown = SECRET_SETTINGS.test(name) ? 'a value that is not shown' : JSON.stringify(value)
  return `\`${name}\` is ${shown} (from ${source?.from ?? 'nowhere'}); allowed: ${allowed(issue)}.`
}

function allowed(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`
    case 'too_small':
      return issue.message.startsWith('Too') ? `at least ${issue.minimum}` : issue.message
    case 'too_big':
      return issue.message.startsWith('Too') ? `at most ${issue.maximum}` : issue.message
    case 'invalid_value':
      return issue.values.map(String).join(', ')
    default:
      return issue.message
  }
}

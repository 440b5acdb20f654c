import { startPostgres } from './postgres.ts'

const server = await startPostgres()
process.env.TEST_POSTGRES = server.url
const { startTestAuthority } = await import('./setup.ts')
const { signIn } = await import('./sign-in.ts')
const a = await startTestAuthority({ logLevel: 'warn' })
const { store } = a.authority
const real = store.transact
store.transact = ((t: never) =>
  real(t).catch((e: Error) => {
    console.log('TX', (t as { kind: string }).kind, e.message)
    throw e
  })) as never
const read = store.read
store.read = ((t: never) =>
  read(t).catch((e: Error) => {
    console.log('READ', JSON.stringify(t), e.message)
    throw e
  })) as never
await signIn(a.issuer).then(
  (t) => console.log(Object.keys(t)),
  (e) => console.log(e.message),
)
await a.stop()
await server.stop()

// One process of an authority, whose clock can be set over IPC. `node authority-process.ts CONFIG MS_AHEAD`
import { readConfig } from '../../packages/authority/src/config.ts'
import { startAuthority } from '../../packages/authority/src/main.ts'

const [file, given] = process.argv.slice(2)
let ahead = Number(given)
process.on('message', (message) => {
  ahead = Number(message)
})
process.on('disconnect', () => process.exit())
await startAuthority(readConfig({ config: file }, {}), { now: () => Date.now() + ahead })

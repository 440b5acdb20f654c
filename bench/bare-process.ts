// Many bare TCP connections in one process, as a measure of what the machine itself takes to tell so many.
import { connect } from 'node:net'
import { ticks } from './measure.ts'
import { serveCommands } from './worker.ts'

let left = 0
let count = 0
let heard: (at: number) => void = () => {}

function open(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', resolve)
    socket.once('error', reject)
    socket.on('data', () => {
      if (--left === 0) heard(ticks())
    })
  })
}

async function start(options: { port: number; count: number }) {
  count = options.count
  for (let i = 0; i < count; i++) await open(options.port)
}

let outcome: Promise<number> | undefined
function arm() {
  left = count
  outcome = new Promise((resolve) => {
    heard = resolve
  })
}

serveCommands({ start, arm, outcome: () => outcome })

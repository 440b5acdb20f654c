// What node:http itself takes for a form and a short answer: no endpoint of anybody can be faster.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveCommands } from './worker.ts'

const server = createServer((req, res) => {
  req.on('data', () => {})
  req.on('end', () => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 })
    res.end('{}')
  })
})

serveCommands({
  listen: () =>
    new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () =>
        resolve({ port: (server.address() as AddressInfo).port, pid: process.pid }),
      ),
    ),
})

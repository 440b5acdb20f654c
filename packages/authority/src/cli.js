#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// In TypeScript this file would have Node load its compiler, 20 MB, which it does for whatever is not kept compiled yet.
// What was compiled once starts sooner, and the compiler is not needed. It is kept beside the code: whoever can write there
// could change the code itself, which is not so of the directory for temporary files. Where nothing can be kept, nothing is.
const cache = join(import.meta.dirname, '..', '.cache')
enableCompileCache(cache)
// Threads take it from here.
process.env.NODE_COMPILE_CACHE ??= cache

await import('./command-line.ts')

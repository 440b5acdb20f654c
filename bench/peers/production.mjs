// The first import of a peer: libraries look at this while they load.
process.env.NODE_ENV = 'production'

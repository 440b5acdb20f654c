# The authority alone, on the Node that the lock file pins. Build at the root of the repository: docker build -t rescind .
FROM node:26.10.0-slim AS install
WORKDIR /app
COPY package.json package-lock.json ./
COPY packages/authority/package.json packages/authority/
COPY packages/guard/package.json packages/guard/
# Its `node` is the image's own, so nothing of the development dependencies is needed.
RUN npm ci --omit=dev --workspace packages/authority --workspace packages/guard --include-workspace-root=false \
  --ignore-scripts --no-audit --no-fund

FROM node:26.10.0-slim
ENV NODE_ENV=production RESCIND_HOST=0.0.0.0 RESCIND_PORT=4600 RESCIND_DATA=/data
WORKDIR /app
COPY --from=install /app ./
COPY packages/guard/src packages/guard/src
COPY packages/authority/src packages/authority/src
RUN mkdir -m 700 /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 4600
# Not /readyz: a container whose database is away is not mended by starting it anew.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.RESCIND_PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "packages/authority/src/cli.js"]
CMD ["serve"]

// PostGraphile as its documentation sets it up for production, with the role and the claims of the request.

import { createServer } from 'node:http';
import { makePgService } from 'postgraphile/adaptors/pg';
import { grafserv } from 'postgraphile/grafserv/node';
import { postgraphile } from 'postgraphile';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';

// It asks for Node 22, for this function only; Node 20 does not have it yet.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
};

const pgSettings = { role: 'bench_user', 'request.jwt.claims': JSON.stringify({
  iss: 'bench', aud: 'postern', sub: 'alice', tenant: 'acme', role: 'bench_user', iat: 1767225600, exp: 1767229200,
}) };

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ['bench'],
      pubsub: false,
      poolConfig: { max: Number(process.env.CONNECTIONS) },
    }),
  ],
  grafast: { context: () => ({ pgSettings }) },
  grafserv: { graphiql: false, watch: false },
});

const server = createServer();
server.keepAliveTimeout = 600_000;
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
await instance.createServ(grafserv).addTo(server);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

// Whoever started us holds the other end.
process.stdin.resume().on('end', () => process.exit());

// A minimal gate: one process, the driver "pg", a transaction for each request, in which the role and the claims are set. It
// believes whatever role it is told, and what it runs can leave that role; it is here for its speed only.

import { createServer } from 'node:http';
import pg from 'pg';

const ROLE = 'bench_user';
const CLAIMS = JSON.stringify({
  iss: 'bench', aud: 'postern', sub: 'alice', tenant: 'acme', role: 'bench_user', iat: 1767225600, exp: 1767229200,
});

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.CONNECTIONS) });
const names = new Map();

// The driver keeps a statement parsed if it has a name.
function nameOf(text) {
  let name = names.get(text);
  if (name === undefined) names.set(text, (name = `s${names.size}`));
  return name;
}

async function run({ query, params }) {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query({
      name: 'enter',
      text: "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
      values: [ROLE, CLAIMS],
    });
    const result = await client.query({ name: nameOf(query), text: query, values: params });
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    client.release(error);
    throw error;
  }
}

const server = createServer(async (request, response) => {
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { rows, rowCount } = await run(JSON.parse(Buffer.concat(chunks).toString()));
    const body = JSON.stringify({ rows, rowCount });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  } catch (error) {
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message: error.message }));
  }
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

// Whoever started us holds the other end.
process.stdin.resume().on('end', () => process.exit());

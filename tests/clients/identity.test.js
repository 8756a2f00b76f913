// @neondatabase/serverless over HTTP: who one is, errors, and what the driver does not send.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { neon, NeonDbError, Pool, neonConfig } from '@neondatabase/serverless';

import { alice, as, bob, connectionString, endpoint, expired, post, sqlstate } from './lib/gate.js';

const numbers = (rows) => rows.map((row) => row.number);

describe('identity', () => {
  test('each user sees the rows of her own tenant', async () => {
    const query = 'select number from invoices order by 1';
    assert.deepEqual(numbers(await as(alice).query(query)), ['2026-001', '2026-002', '2026-003']);
    assert.deepEqual(numbers(await as(bob).query(query)), ['2026-001', '2026-002']);
  });

  test('a token per query', async () => {
    const sql = as(alice);
    const tenant = 'select distinct tenant from invoices';
    assert.deepEqual(await sql.query(tenant), [{ tenant: 'acme' }]);
    assert.deepEqual(await sql.query(tenant, [], { authToken: bob }), [{ tenant: 'globex' }]);
    assert.deepEqual(await sql.query(tenant, [], { authToken: () => bob }), [{ tenant: 'globex' }]);
    assert.deepEqual(await sql.query(tenant), [{ tenant: 'acme' }]);
  });

  test('many requests of two users at once', async () => {
    const ask = async (token, tenant) => assert.deepEqual(await as(token)`select distinct tenant from invoices`, [{ tenant }]);
    await Promise.all(Array.from({ length: 100 }, (_, n) => (n % 2 ? ask(alice, 'acme') : ask(bob, 'globex'))));
  });

  test('without a good token nobody is served', async () => {
    for (const token of [undefined, expired, 'x', `${alice}x`, alice.replace(/^[^.]*/, 'eyJhbGciOiJub25lIn0')]) {
      await assert.rejects(as(token)`select 1`, sqlstate('28000'));
    }
  });

  test('a password in the connection string is ignored', async () => {
    const withPassword = connectionString.replace('@', ':secret@');
    assert.deepEqual(await neon(withPassword, { authToken: alice })`select current_user as r`, [{ r: 'app_user' }]);
    await assert.rejects(neon(withPassword)`select 1`, sqlstate('28000'));
  });

  test('a role that the token does not allow', async () => {
    for (const role of ['invoices_owner', 'postern_gate', 'nobody', 'APP_USER']) {
      const other = neon(connectionString.replace('app_user', role), { authToken: alice });
      await assert.rejects(other`select 1`, sqlstate('28000'));
    }
  });

  test('another database', async () => {
    const other = neon(connectionString.replace(/\/[^/]*$/, '/postgres'), { authToken: alice });
    await assert.rejects(other`select 1`, sqlstate('3D000'));
  });

  test('nobody becomes another', async () => {
    const sql = as(bob);
    for (const [statement, code] of [
      ['reset role', '42501'],
      ['set role invoices_owner', '42501'],
      ['set session authorization default', '42501'],
      ["select set_config('role', 'invoices_owner', false)", '42501'],
      ["select set_config('request.jwt.claims', '{\"sub\":\"alice\",\"tenant\":\"acme\"}', false)", '42501'],
      ['commit', '2D000'],
      ["insert into invoices (tenant, number, customer) values ('acme', '1', 'x')", '42501'],
      ["insert into invoices (number, customer, created_by) values ('1', 'x', 'alice')", '42501'],
    ]) {
      await assert.rejects(sql.query(statement), sqlstate(code), statement);
    }
    assert.deepEqual(await sql`select distinct tenant from invoices`, [{ tenant: 'globex' }]);
  });

  test('Pool.query over HTTP has no token, so it is nobody', async () => {
    neonConfig.poolQueryViaFetch = true;
    const pool = new Pool({ connectionString });
    await assert.rejects(pool.query('select 1'), sqlstate('28000'));
    neonConfig.poolQueryViaFetch = false;
  });
});

describe('errors', () => {
  const sql = as(alice);

  test('an error has the fields of PostgreSQL', async () => {
    const error = await sql`select * from boom`.catch((error) => error);
    assert.ok(error instanceof NeonDbError);
    assert.equal(error.message, 'relation "boom" does not exist');
    assert.deepEqual([error.severity, error.code, error.position], ['ERROR', '42P01', '15']);
    assert.deepEqual([error.file, error.routine], ['parse_relation.c', 'parserOpenTable']);
    assert.match(error.line, /^\d+$/);
    assert.equal(error.detail, undefined);
  });

  test('a violated constraint is named', async () => {
    const error = await sql`insert into invoices (number, customer) values ('2026-001', 'x')`.catch((error) => error);
    assert.deepEqual(
      [error.code, error.schema, error.table, error.constraint],
      ['23505', 'public', 'invoices', 'invoices_pkey'],
    );
    // Which key it was, PostgreSQL does not tell those who are under row security.
    assert.equal(error.detail, undefined);
  });

  test('detail, hint and where of a function', async () => {
    const error = await sql`
      do $$ begin raise exception 'no' using errcode = 'PT403', detail = 'Because.', hint = 'Do not.'; end $$`.catch(
      (error) => error,
    );
    assert.deepEqual([error.code, error.message, error.detail, error.hint], ['PT403', 'no', 'Because.', 'Do not.']);
    assert.match(error.where, /inline_code_block/);
  });

  test('two statements in one are refused', async () => {
    await assert.rejects(sql`select 1; select 2`, sqlstate('42601'));
  });

  test('an error that comes only with the commit', async () => {
    await assert.rejects(sql`insert into notes (body, rank) values ('x', 1), ('x', 1)`, sqlstate('23505'));
    assert.deepEqual(await sql`select from notes where rank = 1`, []);
  });

  test('an error after ten thousand rows', async () => {
    await assert.rejects(sql`select 1 / (10001 - n) from generate_series(1, 20000) n`, sqlstate('22012'));
  });

  test('a parameter of the wrong type', async () => {
    await assert.rejects(sql`select ${'abc'}::int`, sqlstate('22P02'));
  });

  test('an error of authToken() sends nothing', async () => {
    const failing = as(() => {
      throw new Error('not signed in');
    });
    await assert.rejects(failing`select 1`, /not signed in/);
  });

  test('after a request that was given up, the next one works', async () => {
    const controller = new AbortController();
    const slow = sql.query('select pg_sleep(60)', [], { fetchOptions: { signal: controller.signal } });
    setImmediate(() => controller.abort());
    await assert.rejects(slow, /abort/i);
    assert.deepEqual(await sql`select 1 as x`, [{ x: 1 }]);
  });
});

describe('what other clients send', () => {
  const query = "select 1::int2 as a, 5::int8 as b, 1.5::numeric as c, true as d, null as e, '{\"x\":1}'::jsonb as f, " +
    "array[1,2] as g, 'NaN'::float8 as h, 0.5::float8 as i";

  test('rows are objects with converted values unless the headers say otherwise', async () => {
    const { status, body, headers } = await post({ query });
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'application/json');
    assert.deepEqual(body.rows, [{ a: 1, b: '5', c: '1.5', d: true, e: null, f: { x: 1 }, g: [1, 2], h: 'NaN', i: 0.5 }]);
    assert.equal(body.rowAsArray, false);
    const raw = await post({ query: 'select 1 as a, true as b' }, { 'Neon-Raw-Text-Output': 'true' });
    assert.deepEqual(raw.body.rows, [{ a: '1', b: 't' }]);
    const arrays = await post({ query: 'select 1 as a, true as b', arrayMode: true });
    assert.deepEqual(arrays.body.rows, [[1, true]]);
    const not = await post({ query: 'select 1 as a', arrayMode: false }, { 'Neon-Array-Mode': 'true' });
    assert.deepEqual(not.body.rows, [{ a: 1 }]);
  });

  test('parameters of every kind of JSON', async () => {
    const params = [5, 1.5, true, null, 'x', { a: 'b' }, ['a"', null, 'c,d'], [[1, 2], [3, 4]]];
    const query = 'select $1::int a, $2::numeric b, $3::bool c, $4::text d, $5::text e, $6::jsonb f, $7::text[] g, $8::int[] h';
    const { body } = await post({ query, params });
    assert.deepEqual(body.rows, [
      { a: 5, b: '1.5', c: true, d: null, e: 'x', f: { a: 'b' }, g: ['a"', null, 'c,d'], h: [[1, 2], [3, 4]] },
    ]);
  });

  test('any content type, and members that mean nothing', async () => {
    for (const type of ['text/plain;charset=UTF-8', 'application/json', 'application/octet-stream']) {
      const { status } = await post({ query: 'select 1', another: 1 }, { 'Content-Type': type });
      assert.equal(status, 200, type);
    }
  });

  test('errors have every member', async () => {
    const { status, body } = await post({ query: 'select' + 'x' });
    assert.equal(status, 400);
    const members = 'code column constraint dataType detail file hint internalPosition internalQuery line message position ' +
      'routine schema severity table where';
    assert.deepEqual(Object.keys(body).sort(), members.split(' '));
    assert.equal(body.code, '42601');
    assert.equal(typeof body.position, 'string');
  });

  test('an isolation level that does not exist', async () => {
    const { status, body } = await post({ queries: [{ query: 'select 1' }] }, { 'Neon-Batch-Isolation-Level': 'Snapshot' });
    assert.deepEqual([status, body.code, body.message], [400, '22023', 'invalid isolation level']);
  });

  test('batches: results in order, headers repeated', async () => {
    const { body, headers } = await post(
      { queries: [{ query: 'select $1::int as a', params: [1] }, { query: 'select 2 as b', arrayMode: true }] },
      { 'Neon-Batch-Read-Only': 'true', 'Neon-Batch-Isolation-Level': 'RepeatableRead' },
    );
    assert.deepEqual(body.results.map((result) => result.rows), [[{ a: 1 }], [[2]]]);
    assert.equal(headers.get('neon-batch-read-only'), 'true');
    assert.equal(headers.get('neon-batch-isolation-level'), 'RepeatableRead');
    assert.deepEqual((await post({ queries: [] })).body, { results: [] });
  });

  test('a browser may ask with every header that the driver sends', async () => {
    const sent = 'authorization, neon-connection-string, neon-raw-text-output, neon-array-mode, neon-pool-opt-in, ' +
      'neon-batch-read-only, neon-batch-isolation-level, neon-batch-deferrable, content-type';
    const response = await fetch(endpoint, {
      method: 'OPTIONS',
      headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': sent },
    });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
    assert.equal(response.headers.get('access-control-allow-credentials'), null);
    const allowed = response.headers.get('access-control-allow-headers').toLowerCase().split(/, */);
    for (const header of sent.split(', ')) assert.ok(allowed.includes(header), header);
    const answer = await post({ query: 'select 1' }, { Origin: 'https://app.example' });
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  });

  test('other paths and methods', async () => {
    for (const [path, method] of [['/', 'POST'], ['/other', 'POST'], ['/sql', 'GET']]) {
      const response = await fetch(new URL(path, endpoint), { method });
      assert.deepEqual([response.status, await response.json()], [400, 'query is not supported']);
    }
  });
});

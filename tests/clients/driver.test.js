// @neondatabase/serverless over HTTP: queries, parameters, types, batches.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { alice, as, sqlstate } from './lib/gate.js';

const sql = as(alice);

/** The only cell of the only row. */
async function cell(query) {
  const rows = await query;
  assert.equal(rows.length, 1);
  const values = Object.values(rows[0]);
  assert.equal(values.length, 1);
  return values[0];
}

describe('queries', () => {
  test('a tagged template passes its values as parameters', async () => {
    assert.deepEqual(await sql`select ${1}::int + ${2}::int as n, ${"o'neil; --"}::text as t`, [{ n: 3, t: "o'neil; --" }]);
  });

  test('values without a cast are texts', async () => {
    assert.deepEqual(await sql`select ${1} as a, ${true} as b, ${'x'} as c`, [{ a: '1', b: 'true', c: 'x' }]);
  });

  test('templates are composed of templates', async () => {
    const tenant = sql`tenant = ${'acme'}`;
    const unpaid = sql`${tenant} and paid_on is null`;
    const table = sql.unsafe('invoices');
    const rows = await sql`select number from ${table} where ${unpaid} and number >= ${'2026-002'} order by 1`;
    assert.deepEqual(rows, [{ number: '2026-002' }, { number: '2026-003' }]);
  });

  test('a text with placeholders', async () => {
    assert.deepEqual(await sql.query('select $1::int as a, $2::text as b', [5, 'x']), [{ a: 5, b: 'x' }]);
  });

  test('full results tell about columns and command', async () => {
    const result = await sql.query('select number, issued_on from invoices order by 1', [], { fullResults: true });
    assert.equal(result.command, 'SELECT');
    assert.equal(result.rowCount, 3);
    assert.deepEqual(result.fields.map((field) => [field.name, field.dataTypeID]), [['number', 25], ['issued_on', 1082]]);
    assert.ok(result.fields[0].tableID > 0 && result.fields[0].columnID === 2);
  });

  test('array mode keeps columns of the same name', async () => {
    assert.deepEqual(await sql.query('select 1 as a, 2 as a', [], { arrayMode: true }), [[1, 2]]);
    assert.deepEqual(await as(alice, { arrayMode: true })`select 1 as a, 'x' as b`, [[1, 'x']]);
    assert.deepEqual(await sql`select 1 as a, 2 as a`, [{ a: 2 }]);
  });

  test('changes are counted', async () => {
    const full = as(alice, { fullResults: true });
    const inserted = await full`insert into notes (body) values ('counted'), ('counted')`;
    assert.deepEqual([inserted.command, inserted.rowCount, inserted.rows, inserted.fields], ['INSERT', 2, [], []]);
    const updated = await full`update notes set body = 'counted 2' where body = 'counted' returning body`;
    assert.deepEqual([updated.command, updated.rowCount, updated.rows.length], ['UPDATE', 2, 2]);
    const deleted = await full`delete from notes where body = 'counted 2'`;
    assert.deepEqual([deleted.command, deleted.rowCount], ['DELETE', 2]);
  });

  test('statements without rows', async () => {
    const full = as(alice, { fullResults: true });
    for (const [text, command, rowCount] of [
      ['create table scratch.made (i int)', 'CREATE', null],
      ['create table scratch.made_as as select 1 as i', 'SELECT', 1],
      ['drop table scratch.made, scratch.made_as', 'DROP', null],
      ['do $$ begin end $$', 'DO', null],
      ['set work_mem = 1000', 'SET', null],
      ['', '', null],
      ['-- nothing', '', null],
    ]) {
      const result = await full.query(text);
      assert.deepEqual([result.command, result.rowCount, result.rows, result.fields], [command, rowCount, [], []], text);
    }
  });

  test('no columns, and as many as there can be', async () => {
    assert.deepEqual(await sql`select from generate_series(1, 2)`, [{}, {}]);
    const wide = Array.from({ length: 1600 }, (_, n) => `${n} as c${n}`).join(', ');
    const [row] = await sql.query(`select ${wide}`);
    assert.equal(Object.keys(row).length, 1600);
    assert.equal(row.c1599, 1599);
  });

  test('many rows', async () => {
    const rows = await sql`select n, repeat('x', 100) as x from generate_series(1, 20000) n`;
    assert.equal(rows.length, 20000);
    assert.equal(rows.reduce((sum, row) => sum + row.n, 0), 200010000);
  });

  test('options that are functions', async () => {
    const late = as(async () => alice);
    assert.equal(await cell(late`select postern.fact('claims.sub')`), 'alice');
  });
});

describe('types', () => {
  const roundTrips = [
    ['bool', true],
    ['int2', -5],
    ['int4', 2147483647],
    ['int8', '9223372036854775807'],
    ['numeric', '12345678901234567890.123456789'],
    ['float8', 0.1],
    ['text', 'Zürich "\\ \n\t\u0001 😀'],
    ['uuid', '01890a5d-ac96-774b-bcce-b302099a8057'],
    ['time', '12:34:56.789'],
    ['int4range', '[1,5)'],
    ['json', { a: [1, 'x', null], b: { c: true } }],
    ['jsonb', [1, { a: 'ü' }]],
    ['int4[]', [1, null, 3]],
    ['int4[]', [[1, 2], [3, 4]]],
    ['int8[]', ['9223372036854775807']],
    ['text[]', ['a', 'b"c', 'd\\e', 'f,g', '{h}', '', 'NULL', null]],
    ['text[]', []],
    ['bool[]', [true, false]],
  ];
  for (const [type, value] of roundTrips) {
    test(`${type} ${JSON.stringify(value)}`, async () => {
      // At its top level, the driver sends a list as an array, which JSON needs as text.
      const sent = type === 'jsonb' ? JSON.stringify(value) : value;
      assert.deepEqual(await cell(sql.query(`select $1::${type} as v`, [sent])), value);
    });
  }

  test('null', async () => {
    assert.deepEqual(await sql`select ${null}::int as a, ${undefined}::text as b`, [{ a: null, b: null }]);
  });

  test('numbers that JSON does not have', async () => {
    assert.deepEqual(await sql`select ${NaN}::float8 as a, ${Infinity}::float8 as b, ${10n ** 20n}::numeric as c`, [
      { a: NaN, b: Infinity, c: '100000000000000000000' },
    ]);
  });

  test('dates', async () => {
    const date = new Date('2026-01-02T03:04:05.678Z');
    assert.deepEqual(await cell(sql`select ${date}::timestamptz as v`), date);
    assert.deepEqual(await cell(sql`select ${[date]}::timestamptz[] as v`), [date]);
    assert.deepEqual(await cell(sql`select ${'2026-01-02'}::date as v`), new Date(2026, 0, 2));
    assert.deepEqual(await cell(sql`select timestamp '2026-01-02 03:04:05' as v`), new Date(2026, 0, 2, 3, 4, 5));
    const interval = await cell(sql`select interval '1 year 2 days 03:04:05' as v`);
    assert.deepEqual({ ...interval }, { years: 1, days: 2, hours: 3, minutes: 4, seconds: 5 });
  });

  test('dates keep their form whatever the client sets', async () => {
    const [, rows] = await sql.transaction([sql`set datestyle = 'German'`, sql`select current_setting('datestyle') as v`]);
    assert.deepEqual(rows, [{ v: 'German, DMY' }]);
    assert.deepEqual(await sql`select current_setting('datestyle') as v`, [{ v: 'ISO, MDY' }]);
  });

  test('bytea, with and without a cast', async () => {
    const bytes = Buffer.from([0, 1, 0x5c, 0x27, 0xff]);
    assert.deepEqual(await cell(sql`select ${bytes} as v`), bytes);
    assert.deepEqual(await cell(sql.query('select $1::bytea as v', [bytes])), bytes);
    assert.deepEqual(await cell(sql.query('select octet_length($1) as v', [bytes])), 12);
    assert.deepEqual(await cell(sql`select octet_length(${new Uint8Array(100000)}) as v`), 100000);
  });

  test('points', async () => {
    assert.deepEqual(await cell(sql`select point '(1.5,-2)' as v`), { x: 1.5, y: -2 });
  });
});

describe('batches', () => {
  test('all statements of a batch are one transaction', async () => {
    const results = await sql.transaction([
      sql`insert into notes (body) values ('batch') returning body`,
      sql`select count(*)::int as n from notes where body = 'batch'`,
      sql`delete from notes where body = 'batch'`,
    ]);
    assert.deepEqual(results, [[{ body: 'batch' }], [{ n: 1 }], []]);
    const [[a], [b]] = await sql.transaction((t) => [
      t`select pg_current_xact_id()::text as id`,
      t`select pg_current_xact_id()::text as id`,
    ]);
    assert.equal(a.id, b.id);
  });

  test('nothing is kept of a batch that fails', async () => {
    const failing = sql.transaction([
      sql`insert into notes (body) values ('kept?')`,
      sql`select 1`,
      sql`select 1 / 0`,
      sql`insert into notes (body) values ('kept?')`,
    ]);
    await assert.rejects(failing, sqlstate('22012'));
    assert.equal(await cell(sql`select count(*)::int as n from notes where body = 'kept?'`), 0);
  });

  test('an empty batch', async () => {
    assert.deepEqual(await sql.transaction([]), []);
  });

  test('isolation', async () => {
    for (const [isolationLevel, name] of [
      ['ReadUncommitted', 'read uncommitted'],
      ['ReadCommitted', 'read committed'],
      ['RepeatableRead', 'repeatable read'],
      ['Serializable', 'serializable'],
    ]) {
      const [[row]] = await sql.transaction([sql`show transaction_isolation`], { isolationLevel });
      assert.equal(row.transaction_isolation, name);
    }
    const [[row]] = await sql.transaction([sql`show transaction_isolation`]);
    assert.equal(row.transaction_isolation, 'read committed');
  });

  test('read only, and deferrable', async () => {
    const writing = sql.transaction([sql`insert into notes (body) values ('x')`], { readOnly: true });
    await assert.rejects(writing, sqlstate('25006'));
    const options = { isolationLevel: 'Serializable', readOnly: true, deferrable: true };
    const [[row]] = await sql.transaction([sql`show transaction_deferrable`], options);
    assert.equal(row.transaction_deferrable, 'on');
  });

  test('array mode and full results', async () => {
    const [a, b] = await sql.transaction([sql`select 1 as x`, sql`select 2 as y`], { arrayMode: true, fullResults: true });
    assert.deepEqual([a.rows, b.rows, b.command, b.rowCount], [[[1]], [[2]], 'SELECT', 1]);
  });
});

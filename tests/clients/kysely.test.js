// kysely with kysely-neon.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Kysely, sql } from 'kysely';
import { NeonDialect } from 'kysely-neon';

import { alice, as, bob, sqlstate } from './lib/gate.js';

const open = (token) => new Kysely({ dialect: new NeonDialect({ neon: as(token) }) });
const db = open(alice);

test('select', async () => {
  const rows = await db.selectFrom('invoices').select(['number', 'customer']).where('paid_on', 'is', null).orderBy('number').execute();
  assert.deepEqual(rows, [
    { number: '2026-002', customer: 'Northwind Cycles' },
    { number: '2026-003', customer: 'Tidewater Marina' },
  ]);
});

test('each user sees her own rows', async () => {
  const tenants = (database) => database.selectFrom('invoices').select('tenant').distinct().execute();
  assert.deepEqual(await tenants(db), [{ tenant: 'acme' }]);
  assert.deepEqual(await tenants(open(bob)), [{ tenant: 'globex' }]);
  await assert.rejects(tenants(open(undefined)), sqlstate('28000'));
});

test('join, group, subquery', async () => {
  const rows = await db
    .selectFrom('invoices as i')
    .innerJoin('invoice_lines as l', (join) => join.onRef('l.tenant', '=', 'i.tenant').onRef('l.number', '=', 'i.number'))
    .select(({ fn }) => ['i.number', fn.sum('l.amount').as('amount'), fn.countAll().as('lines')])
    .groupBy('i.number')
    .having(({ fn }) => fn.sum('l.amount'), '>', 500)
    .orderBy('i.number')
    .execute();
  assert.deepEqual(rows, [
    { number: '2026-002', amount: '685.50', lines: '2' },
    { number: '2026-003', amount: '2300.00', lines: '1' },
  ]);
});

test('insert, update and delete count what they changed', async () => {
  const inserted = await db.insertInto('notes').values([{ body: 'kysely' }, { body: 'kysely' }, { body: 'kysely' }]).executeTakeFirst();
  assert.equal(inserted.numInsertedOrUpdatedRows, 3n);
  const updated = await db.updateTable('notes').set({ body: 'kysely 2' }).where('body', '=', 'kysely').executeTakeFirst();
  assert.equal(updated.numUpdatedRows, 3n);
  const returned = await db.updateTable('notes').set({ data: JSON.stringify({ a: [1] }) }).where('body', '=', 'kysely 2')
    .returning(['owner', 'data']).execute();
  assert.deepEqual(returned, Array(3).fill({ owner: 'alice', data: { a: [1] } }));
  const deleted = await db.deleteFrom('notes').where('body', '=', 'kysely 2').executeTakeFirst();
  assert.equal(deleted.numDeletedRows, 3n);
});

test('merge', async () => {
  await db.insertInto('notes').values({ body: 'merge', rank: null }).execute();
  const merged = await db
    .mergeInto('notes as target')
    .using(sql`(values ('merge', 'one'), ('merge-new', 'two'))`.as(sql`source(body, text)`), (join) =>
      join.on(sql`target.body = source.body`))
    .whenMatched()
    .thenUpdateSet({ tags: ['merged'] })
    .whenNotMatched()
    .thenInsertValues({ body: sql`source.body` })
    .executeTakeFirst();
  assert.equal(merged.numChangedRows, 2n);
  const rows = await db.deleteFrom('notes').where('body', 'like', 'merge%').returning(['body', 'tags']).execute();
  assert.deepEqual(rows.sort((a, b) => (a.body < b.body ? -1 : 1)), [
    { body: 'merge', tags: ['merged'] },
    { body: 'merge-new', tags: null },
  ]);
});

test('schema: what the role may make', async () => {
  await db.schema.withSchema('scratch').createTable('by_kysely').addColumn('id', 'integer', (c) => c.primaryKey()).execute();
  await db.schema.withSchema('scratch').dropTable('by_kysely').execute();
  await assert.rejects(db.schema.createTable('public.by_kysely').addColumn('id', 'integer').execute(), sqlstate('42501'));
});

test('introspection', async () => {
  const tables = await db.introspection.getTables();
  const notes = tables.find((table) => table.name === 'notes');
  assert.ok(notes.columns.some((column) => column.name === 'tags' && column.dataType === '_text'));
});

test('errors, and what HTTP has not', async () => {
  await assert.rejects(sql`select * from boom`.execute(db), sqlstate('42P01'));
  await assert.rejects(sql`set role invoices_owner`.execute(db), sqlstate('42501'));
  await assert.rejects(db.transaction().execute(async () => {}), /interactive transactions/);
});

// drizzle-orm with its neon-http driver.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { and, desc, eq, gt, relations, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/neon-http';
import { bigint, date, foreignKey, integer, jsonb, numeric, pgTable, primaryKey, smallint, text, timestamp } from 'drizzle-orm/pg-core';

import { alice, as, bob, connectionString, sqlstate } from './lib/gate.js';

const invoices = pgTable(
  'invoices',
  {
    // Filled in by the database, from the facts.
    tenant: text('tenant').notNull().default(sql`default`),
    number: text('number').notNull(),
    customer: text('customer').notNull(),
    issuedOn: date('issued_on').notNull(),
    paidOn: date('paid_on'),
    createdBy: text('created_by'),
  },
  (table) => [primaryKey({ columns: [table.tenant, table.number] })],
);

const lines = pgTable(
  'invoice_lines',
  {
    tenant: text('tenant').notNull(),
    number: text('number').notNull(),
    line: smallint('line').notNull(),
    description: text('description').notNull(),
    amount: numeric('amount', { precision: 12, scale: 2 }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.tenant, table.number, table.line] }),
    foreignKey({ columns: [table.tenant, table.number], foreignColumns: [invoices.tenant, invoices.number] }),
  ],
);

const notes = pgTable('notes', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  owner: text('owner'),
  body: text('body').notNull(),
  rank: integer('rank'),
  tags: text('tags').array(),
  data: jsonb('data'),
  made: timestamp('made', { withTimezone: true }),
});

const invoiceRelations = relations(invoices, ({ many }) => ({ lines: many(lines) }));
const lineRelations = relations(lines, ({ one }) => ({
  invoice: one(invoices, { fields: [lines.tenant, lines.number], references: [invoices.tenant, invoices.number] }),
}));

const schema = { invoices, lines, notes, invoiceRelations, lineRelations };
const db = drizzle({ client: as(alice), schema });

test('select, filter, order', async () => {
  const rows = await db
    .select({ number: invoices.number, issuedOn: invoices.issuedOn })
    .from(invoices)
    .where(gt(invoices.number, '2026-001'))
    .orderBy(desc(invoices.number));
  assert.deepEqual(rows, [
    { number: '2026-003', issuedOn: '2026-02-20' },
    { number: '2026-002', issuedOn: '2026-02-03' },
  ]);
});

test('join and aggregate', async () => {
  const rows = await db
    .select({ number: invoices.number, amount: sql`sum(${lines.amount})` })
    .from(invoices)
    .innerJoin(lines, and(eq(invoices.tenant, lines.tenant), eq(invoices.number, lines.number)))
    .groupBy(invoices.number)
    .orderBy(invoices.number);
  assert.deepEqual(rows.map((row) => row.amount), ['180.00', '685.50', '2300.00']);
});

test('count', async () => {
  assert.equal(await db.$count(invoices), 3);
});

test('insert returning, update, delete', async () => {
  const made = new Date('2026-03-04T05:06:07.089Z');
  const values = { body: 'drizzle', tags: ['a', 'b "c"', 'd,e'], data: { nested: [1, { x: 'ü' }] }, made };
  const [inserted] = await db.insert(notes).values(values).returning();
  assert.deepEqual(inserted, { id: inserted.id, owner: 'alice', rank: null, ...values });
  const updated = await db.update(notes).set({ body: 'changed' }).where(eq(notes.id, inserted.id));
  assert.equal(updated.rowCount, 1);
  const deleted = await db.delete(notes).where(eq(notes.id, inserted.id)).returning({ body: notes.body });
  assert.deepEqual(deleted, [{ body: 'changed' }]);
});

test('insert, or update what is there', async () => {
  const [first] = await db.insert(notes).values({ body: 'upsert' }).returning({ id: notes.id });
  const again = await db
    .insert(notes)
    .overridingSystemValue()
    .values({ id: first.id, body: 'upsert' })
    .onConflictDoUpdate({ target: notes.id, set: { body: 'upserted' } })
    .returning({ body: notes.body });
  assert.deepEqual(again, [{ body: 'upserted' }]);
  await db.delete(notes).where(eq(notes.id, first.id));
});

test('relational queries', async () => {
  const found = await db.query.invoices.findMany({
    columns: { number: true },
    with: { lines: { columns: { description: true, amount: true }, orderBy: lines.line } },
    orderBy: invoices.number,
  });
  assert.deepEqual(found.map((invoice) => [invoice.number, invoice.lines.length]), [
    ['2026-001', 1],
    ['2026-002', 2],
    ['2026-003', 1],
  ]);
  const first = await db.query.lines.findFirst({ with: { invoice: true }, orderBy: desc(lines.amount) });
  assert.equal(first.invoice.customer, 'Tidewater Marina');
});

test('a batch is one transaction', async () => {
  const [inserted, found, removed] = await db.batch([
    db.insert(notes).values({ body: 'batched', rank: null }).returning({ owner: notes.owner }),
    db.select({ body: notes.body }).from(notes).where(eq(notes.body, 'batched')),
    db.delete(notes).where(eq(notes.body, 'batched')),
  ]);
  assert.deepEqual([inserted, found, removed.rowCount], [[{ owner: 'alice' }], [{ body: 'batched' }], 1]);
  const failing = db.batch([db.insert(notes).values({ body: 'gone' }), db.execute(sql`select 1 / 0`)]);
  await assert.rejects(failing, sqlstate('22012'));
  assert.equal(await db.$count(notes, eq(notes.body, 'gone')), 0);
});

test('a token per query', async () => {
  const tenants = (database) => database.selectDistinct({ tenant: invoices.tenant }).from(invoices);
  assert.deepEqual(await tenants(db), [{ tenant: 'acme' }]);
  assert.deepEqual(await tenants(db.$withAuth(bob)), [{ tenant: 'globex' }]);
  const nobody = drizzle({ client: as(undefined), schema });
  await assert.rejects(tenants(nobody), sqlstate('28000'));
  assert.deepEqual(await tenants(nobody.$withAuth(alice)), [{ tenant: 'acme' }]);
});

test('a connection made by drizzle itself', async () => {
  const own = drizzle({ connection: { connectionString, authToken: bob } });
  assert.deepEqual(await own.selectDistinct({ tenant: invoices.tenant }).from(invoices), [{ tenant: 'globex' }]);
});

test('prepared queries with placeholders', async () => {
  const prepared = db.select({ customer: invoices.customer }).from(invoices)
    .where(eq(invoices.number, sql.placeholder('number'))).prepare('by_number');
  assert.deepEqual(await prepared.execute({ number: '2026-001' }), [{ customer: "Rosa's Bakery" }]);
  assert.deepEqual(await prepared.execute({ number: '2026-002' }), [{ customer: 'Northwind Cycles' }]);
});

test('raw SQL', async () => {
  const result = await db.execute(sql`select ${5}::int as n, date '2026-01-02' as d, interval '1 day' as i`);
  assert.deepEqual(result.rows, [{ n: 5, d: '2026-01-02', i: '1 day' }]);
});

test('errors keep the SQLSTATE', async () => {
  await assert.rejects(db.insert(invoices).values({ number: '2026-001', customer: 'x', issuedOn: '2026-01-01' }), sqlstate('23505'));
  await assert.rejects(db.execute(sql`reset role`), sqlstate('42501'));
  await assert.rejects(db.transaction(async () => {}), /No transactions support/);
});

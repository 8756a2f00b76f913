// Durable functions: started by SQL, executed by the server.
import { randomUUID } from "node:crypto";
import pg from "pg";

export default async function start({ url, connections }) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  pool.on("error", () => {});
  const clients = [];

  // Waits until nothing is due any more, and counts the steps. One question in 10 ms is not what is measured.
  async function ended(label, steps) {
    for (;;) {
      const { rows } = await pool.query("select not exists (select from postern.strand where priority = 0 and due < 'infinity') as done");
      if (rows[0].done) break;
      await new Promise((done) => setTimeout(done, 10));
    }
    const { rows } = await pool.query(
      `select count(*)::int as steps from postern.step p join postern.instance i on i.id = p.instance
        where i.label = $1 and p.status = 'completed' and p.result like '{"rows":[{"n":1}]%'`,
      [label],
    );
    if (rows[0].steps !== steps) throw new Error(`${rows[0].steps} steps ran instead of ${steps}`);
    return steps;
  }

  const label = () => randomUUID();

  return {
    async one(count) {
      const name = label();
      // A hundred in a transaction, as the others' own calls for several do.
      const batches = Array.from({ length: Math.ceil(count / 100) }, (_, n) => Math.min(100, count - n * 100));
      const next = async () => {
        for (let size = batches.pop(); size; size = batches.pop()) {
          await pool.query("select count(df.start('select 1 as n', $1)) from generate_series(1, $2::int)", [name, size]);
        }
      };
      await Promise.all(Array.from({ length: 4 }, next));
      return ended(name, count);
    },
    async chains(count, length) {
      const name = label();
      const chain = `'select 1 as n'${" ~> 'select 1 as n'".repeat(length - 1)}`;
      await pool.query(`select count(df.start(${chain}, $1)) from generate_series(1, $2::int)`, [name, count]);
      return ended(name, count * length);
    },
    async fan(width) {
      const name = label();
      await pool.query("select df.start(df.all(array_fill('select 1 as n'::text, array[$2::int])), $1)", [name, width]);
      return ended(name, width);
    },
    async client() {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      clients.push(client);
      return async () => {
        const { rows } = await client.query({ name: "start", text: "select df.start('select 1 as n') as id" });
        await client.query({ name: "await", text: "select df.await_instance($1)", values: [rows[0].id] });
      };
    },
    async stop() {
      await Promise.all(clients.map((client) => client.end()));
      await pool.end();
    },
  };
}

// pg-boss: jobs. A chain is a job that sends the next one. It polls; twice a second is the most that it does.
import PgBoss from "pg-boss";
import pg from "pg";

const QUEUE = "step";

export default async function start({ url, connections }) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  pool.on("error", () => {});
  const boss = new PgBoss({ connectionString: url, max: connections });
  boss.on("error", (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
  await boss.start();
  await boss.createQueue(QUEUE);
  let wanted = 0;
  let ran = 0;
  let finished = () => {};
  const waiting = new Map();

  const ended = (ids) => {
    for (const id of ids) {
      const resolve = waiting.get(id);
      if (resolve) resolve();
      else ended.early.add(id);
      waiting.delete(id);
    }
    ran += ids.length;
    if (ran === wanted) finished();
  };
  ended.early = new Set();
  // Four that take up to 500 at once: with one job at a time it would do eight in a second. A batch counts when it is completed.
  const complete = boss.complete.bind(boss);
  const work = async (jobs) => {
    await Promise.all(
      jobs.map(async (job) => {
        await pool.query("select 1 as n");
        if (job.data.left > 1) await boss.send(QUEUE, { left: job.data.left - 1 });
      }),
    );
    const ids = jobs.map((job) => job.id);
    await complete(QUEUE, ids);
    ended(ids);
  };
  for (let n = 0; n < 4; n += 1) {
    await boss.work(QUEUE, { batchSize: 500, pollingIntervalSeconds: 0.5 }, work);
  }

  const all = (steps, add) => {
    [wanted, ran] = [steps, 0];
    const done = new Promise((resolve) => (finished = resolve));
    return add().then(() => done).then(() => ran);
  };
  const several = async (count, left) => {
    for (let at = 0; at < count; at += 100) {
      await boss.insert(Array.from({ length: Math.min(100, count - at) }, () => ({ name: QUEUE, data: { left } })));
    }
  };

  return {
    one: (count) => all(count, () => several(count, 1)),
    chains: (count, length) => all(count * length, () => several(count, length)),
    fan: (width) => all(width, () => several(width, 1)),
    async client() {
      wanted = -1;
      return async () => {
        const id = await boss.send(QUEUE, { left: 1 });
        if (ended.early.delete(id)) return;
        await new Promise((done) => waiting.set(id, done));
      };
    },
    async stop() {
      await boss.stop({ graceful: false });
      await pool.end();
    },
  };
}

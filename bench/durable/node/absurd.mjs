// Absurd: tasks with steps that are checkpoints. Its schema has been made by `absurdctl init`.
import { Absurd } from "absurd-sdk";
import pg from "pg";

const quiet = { log() {}, info() {}, warn() {}, error: (...words) => process.stderr.write(`absurd: ${words.join(" ")}\n`) };

export default async function start({ url, connections }) {
  const pool = new pg.Pool({ connectionString: url, max: connections * 2 });
  pool.on("error", () => {});
  const app = new Absurd({ db: pool, queueName: "bench", log: quiet });
  await app.createQueue("bench");
  let ran = 0;
  let ended = 0;
  let wanted = 0;
  let finished = () => {};
  const step = async () => {
    const { rows } = await pool.query("select 1 as n");
    ran += 1;
    return rows[0].n;
  };
  app.registerTask({ name: "chain" }, async ({ length }, context) => {
    for (let n = 0; n < length; n += 1) await context.step("step", step);
  });
  // It counts when its end is written, not when our function returns.
  const execute = app.executeTask.bind(app);
  const waiting = new Map();
  const early = new Set();
  app.executeTask = async (task, ...rest) => {
    const result = await execute(task, ...rest);
    const resolve = waiting.get(task.task_id);
    if (resolve) resolve();
    else early.add(task.task_id);
    waiting.delete(task.task_id);
    ended += 1;
    if (ended === wanted) finished();
    return result;
  };
  const worker = await app.startWorker({ concurrency: connections, batchSize: connections, pollInterval: 0.05 });

  const several = async (count, length) => {
    [ran, ended, wanted] = [0, 0, count];
    early.clear();
    const done = new Promise((resolve) => (finished = resolve));
    let left = count;
    const next = async () => {
      while (left > 0) {
        left -= 1;
        await app.spawn("chain", { length });
      }
    };
    await Promise.all(Array.from({ length: Math.min(4, count) }, next));
    await done;
    return ran;
  };

  return {
    one: (count) => several(count, 1),
    chains: (count, length) => several(count, length),
    fan: (width) => several(width, 1),
    async client() {
      wanted = -1;
      return async () => {
        const { taskID } = await app.spawn("chain", { length: 1 });
        if (early.delete(taskID)) return;
        await new Promise((done) => waiting.set(taskID, done));
      };
    },
    async stop() {
      await worker.close();
      await pool.end();
    },
  };
}

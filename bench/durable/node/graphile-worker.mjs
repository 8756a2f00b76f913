// graphile-worker: jobs. A chain is a job that adds the next one before it is done.
import { EventEmitter } from "node:events";
import { Logger, run } from "graphile-worker";
import pg from "pg";

export default async function start({ url, connections }) {
  const pool = new pg.Pool({ connectionString: url, max: connections + 4 });
  pool.on("error", () => {});
  const events = new EventEmitter();
  events.setMaxListeners(0);
  let wanted = 0;
  let ran = 0;
  let finished = () => {};
  const waiting = new Map();

  events.on("job:success", ({ job }) => {
    waiting.get(String(job.id))?.();
    waiting.delete(String(job.id));
    ran += 1;
    if (ran === wanted) finished();
  });
  const step = async ({ left }, helpers) => {
    await helpers.query("select 1 as n");
    if (left > 1) await helpers.addJob("step", { left: left - 1 });
  };
  const runner = await run({
    pgPool: pool,
    concurrency: connections,
    noHandleSignals: true,
    events,
    logger: new Logger(() => () => {}),
    taskList: { step },
  });

  const all = (steps, add) => {
    [wanted, ran] = [steps, 0];
    const done = new Promise((resolve) => (finished = resolve));
    return add().then(() => done).then(() => ran);
  };
  const several = async (count, left) => {
    for (let at = 0; at < count; at += 100) {
      await pool.query(
        `select count(j) from graphile_worker.add_jobs(array(
           select row('step', json_build_object('left', $1::int), null, null, null, null, null, null)::graphile_worker.job_spec
             from generate_series(1, $2::int))) j`,
        [left, Math.min(100, count - at)],
      );
    }
  };

  return {
    one: (count) => all(count, () => several(count, 1)),
    chains: (count, length) => all(count * length, () => several(count, length)),
    fan: (width) => all(width, () => several(width, 1)),
    async client() {
      wanted = -1;
      return async () => {
        // The job may end before we know its number.
        const ends = [];
        const keep = ({ job }) => ends.push(String(job.id));
        events.on("job:success", keep);
        const job = await runner.addJob("step", { left: 1 });
        const id = String(job.id);
        if (!ends.includes(id)) await new Promise((done) => waiting.set(id, done));
        events.off("job:success", keep);
      };
    },
    async stop() {
      await runner.stop();
      await pool.end();
    },
  };
}

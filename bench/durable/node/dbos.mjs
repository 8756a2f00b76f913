// DBOS: workflows in the process of the application, as its manual begins; no queue, which would poll.
import { DBOS } from "@dbos-inc/dbos-sdk";
import pg from "pg";

const quiet = () => {};

export default async function start({ url, connections }) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  pool.on("error", () => {});
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: url,
    systemDatabasePoolSize: connections,
    logger: { info: quiet, debug: quiet, warn: quiet, error: (entry) => process.stderr.write(`dbos: ${entry}\n`) },
  });
  let ran = 0;
  const step = async () => {
    const { rows } = await pool.query("select 1 as n");
    ran += 1;
    return rows[0].n;
  };
  const chain = DBOS.registerWorkflow(
    async (length) => {
      for (let n = 0; n < length; n += 1) await DBOS.runStep(step, { name: "step" });
    },
    { name: "chain" },
  );
  const fan = DBOS.registerWorkflow(
    async (width) => {
      await Promise.all(Array.from({ length: width }, () => DBOS.runStep(step, { name: "step" })));
    },
    { name: "fan" },
  );
  await DBOS.launch();

  const finish = async (workflow, argument) => {
    const handle = await DBOS.startWorkflow(workflow)(argument);
    await handle.getResult();
  };
  // So many at once as there are connections: more would only wait for one.
  const several = async (count, length, atOnce) => {
    ran = 0;
    let left = count;
    const next = async () => {
      while (left > 0) {
        left -= 1;
        await finish(chain, length);
      }
    };
    await Promise.all(Array.from({ length: Math.min(count, atOnce) }, next));
    return ran;
  };

  return {
    one: (count) => several(count, 1, connections),
    chains: (count, length) => several(count, length, count),
    async fan(width) {
      ran = 0;
      await finish(fan, width);
      return ran;
    },
    client: async () => () => finish(chain, 1),
    async stop() {
      await DBOS.shutdown();
      await pool.end();
    },
  };
}

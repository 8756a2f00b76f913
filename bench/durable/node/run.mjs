// Drives one contestant: `node run.mjs NAME`, with DATABASE_URL and CONNECTIONS. A command is a line of JSON on standard input,
// its answer a line on standard output: {"ready":true} first, then for each command what `work` and its like gave.
//
// A contestant gives { one(count), chains(count, length), fan(width), client(), stop() }:
//   one     starts `count` instances of one step as fast as it can, and waits for the end of the last
//   chains  the same with instances of `length` steps, one after the other
//   fan     one instance of `width` steps at once
//   client  gives a function that starts one instance of one step and waits for its end
// Every step asks the server `select 1`. Each of the first three gives how many steps ran, as counted where they run.
import { createInterface } from "node:readline";

const name = process.argv[2];
const settings = { url: process.env.DATABASE_URL, connections: Number(process.env.CONNECTIONS) };
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function timed(work) {
  const begin = process.hrtime.bigint();
  const steps = await work();
  return { seconds: Number(process.hrtime.bigint() - begin) / 1e9, steps };
}

// `clients` of them start one instance after the other, with a pause before each; gives every latency in milliseconds.
async function latencies(contestant, { clients, count, pause }) {
  const found = [];
  const one = async () => {
    const run = await contestant.client();
    for (let n = 0; n < count; n += 1) {
      if (pause > 0) await new Promise((done) => setTimeout(done, pause));
      const begin = process.hrtime.bigint();
      await run();
      found.push(Number(process.hrtime.bigint() - begin) / 1e6);
    }
  };
  const result = await timed(async () => {
    await Promise.all(Array.from({ length: clients }, one));
    return found.length;
  });
  return { ...result, latencies: found };
}

try {
  const { default: start } = await import(`./${name}.mjs`);
  const contestant = await start(settings);
  answer({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    switch (command.do) {
      case "one":
        answer(await timed(() => contestant.one(command.count)));
        break;
      case "chains":
        answer(await timed(() => contestant.chains(command.count, command.length)));
        break;
      case "fan":
        answer(await timed(() => contestant.fan(command.width)));
        break;
      case "latency":
        answer(await latencies(contestant, command));
        break;
      default:
        throw new Error(`unknown command: ${line}`);
    }
  }
  await contestant.stop();
  process.exit(0);
} catch (error) {
  answer({ error: String(error?.stack ?? error) });
  process.exit(1);
}

// Times agentic-flow 2.1.3's reasoningbank as it is shipped, on patterns that are read from a file.
//
//     node measure.mjs TASKS.json DATABASE
//
// TASKS.json: {patterns: [{text, domain, approach, confidence}], queries: [text], domains: [name],
// rows: [name], seconds}. Prints one JSON object: by row, the milliseconds of each call. What the
// package prints is dropped, and nothing of it is changed; its own setting of 1,024 dimensions is
// made through its own configuration object. "npx" is the environment in which it uses its hash
// embeddings at once, instead of trying to download a model at every call.

import { readFileSync, rmSync, statSync } from "node:fs";
import { performance } from "node:perf_hooks";

const [tasksPath, databasePath] = process.argv.slice(2);
const { patterns, queries, domains, rows, seconds } = JSON.parse(readFileSync(tasksPath, "utf8"));
process.env.CLAUDE_FLOW_DB_PATH = databasePath;
process.env.npm_lifecycle_event = "npx";
console.log = () => {};

const shipped = new URL("node_modules/agentic-flow/dist/reasoningbank/", import.meta.url);
const db = await import(new URL("db/queries.js", shipped));
const { loadConfig } = await import(new URL("utils/config.js", shipped));
const { computeEmbedding, clearEmbeddingCache } = await import(
  new URL("utils/embeddings.js", shipped)
);
const { cosineSimilarity } = await import(new URL("utils/mmr.js", shipped));
const { retrieveMemories } = await import(new URL("core/retrieve.js", shipped));

Object.assign(loadConfig().embeddings, { dims: 1024, dimensions: 1024 });

const found = {};
const wanted = (name) => rows.length === 0 || rows.includes(name);

// Calls until there are so many, or the time is up; three at least.
async function timed(name, count, work) {
  if (!wanted(name)) return;
  const taken = [];
  const end = performance.now() + seconds * 1e3;
  await work(0);
  for (let at = 1; at <= count && (performance.now() < end || taken.length < 3); at += 1) {
    const started = performance.now();
    await work(at);
    taken.push(performance.now() - started);
  }
  found[name] = taken;
}

let number = 0;
async function ready(one) {
  number += 1;
  const id = `memory-${number}`;
  const memory = {
    id,
    type: "reasoning_memory",
    pattern_data: {
      title: `${one.approach}: ${one.text.split(" ").slice(0, 3).join(" ")}`,
      description: one.text,
      content: `1) ${one.approach}. 2) Check the result. 3) Recover when it fails.`,
      source: { task_id: `task-${number}`, agent_id: "agent", outcome: "Success", evidence: [] },
      tags: [one.domain],
      domain: one.domain,
      created_at: "2025-01-01T00:00:00.000Z",
      confidence: one.confidence,
      n_uses: 0,
    },
    confidence: one.confidence,
    usage_count: 0,
  };
  const vector = await computeEmbedding(one.text);
  return [memory, { id, model: "hash", dims: vector.length, vector }];
}

function insert([memory, embedding]) {
  db.upsertMemory(memory);
  db.upsertEmbedding(embedding);
}

await db.runMigrations();
const connection = db.getDb();
const whole = connection.transaction((many) => many.forEach(insert));
for (let at = 0; at < patterns.length; at += 1000) {
  whole(await Promise.all(patterns.slice(at, at + 1000).map(ready)));
  clearEmbeddingCache();
}
found.patterns = connection.prepare("SELECT count(*) AS n FROM patterns").get().n;

await timed("candidates", 200, () => db.fetchMemoryCandidates({ minConfidence: 0.3 }));
await timed("candidates_domain", 200, (at) =>
  db.fetchMemoryCandidates({ domain: domains[at % domains.length], minConfidence: 0.3 }),
);
await timed("retrieve", 200, (at) => retrieveMemories(queries[at % queries.length]));
await timed("domain", 200, (at) =>
  retrieveMemories(queries[queries.length - 1 - (at % queries.length)], {
    domain: domains[at % domains.length],
  }),
);
found.retrieved = (await retrieveMemories(queries[0])).length;

if (wanted("cosine")) {
  const [one, other] = [await computeEmbedding(queries[0]), await computeEmbedding(queries[1])];
  found.cosine = [];
  for (let block = 0; block < 200; block += 1) {
    let sum = 0;
    const started = performance.now();
    for (let at = 0; at < 200; at += 1) sum += cosineSimilarity(one, other);
    found.cosine.push((performance.now() - started) / 200);
    if (Number.isNaN(sum)) throw new Error("not a number");
  }
}

if (wanted("size")) {
  connection.pragma("wal_checkpoint(TRUNCATE)");
  connection.exec("VACUUM");
  connection.pragma("wal_checkpoint(TRUNCATE)");
  found.bytes = statSync(databasePath).size;
}

// Inserts come last, on top of what is there. As shipped nothing is on the disk when it returns.
const fresh = [];
for (let at = 0; at < 1300; at += 1) fresh.push(await ready(patterns[at % patterns.length]));
await timed("insert", 300, (at) => insert(fresh[at]));
const hundreds = [];
for (let block = 0; block < 22; block += 1) {
  const some = patterns.slice(0, 100);
  hundreds.push(await Promise.all(Array.from({ length: 100 }, (_, at) => ready(some[at % some.length]))));
}
await timed("batch", 10, (at) => hundreds[at].forEach(insert));
await timed("batch_transaction", 10, (at) => whole(hundreds[11 + at]));
connection.pragma("synchronous = FULL");
await timed("insert_durable", 300, (at) => insert(fresh[500 + at]));

db.closeDb();
for (const ending of ["", "-wal", "-shm"]) rmSync(databasePath + ending, { force: true });
clearEmbeddingCache();
process.stdout.write(JSON.stringify(found));

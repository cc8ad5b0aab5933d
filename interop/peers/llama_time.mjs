// Time how long llama.cpp takes to read a prompt.
//
//   node llama_time.mjs NODE_FOLDER MODEL.gguf THREADS
//
// NODE_FOLDER holds node_modules/node-llama-cpp. Each line of standard input is a prompt, a JSON array of token ids; for
// each, the seconds are printed. The prompt is one batch; nothing is generated.
import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, modelPath, threads] = process.argv.slice(2);
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(folder, "node_modules/node-llama-cpp/dist/index.js")));

const llama = await getLlama({ gpu: false, build: "never", maxThreads: Number(threads), logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });
for await (const line of createInterface({ input: process.stdin })) {
  const ids = JSON.parse(line);
  const context = await model.createContext({ contextSize: ids.length + 8, batchSize: ids.length, threads: Number(threads) });
  const sequence = context.getSequence();
  const began = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(ids);
  console.log((performance.now() - began) / 1000);
  await context.dispose();
}
await model.dispose();
await llama.dispose();

// Run llama.cpp on a GGUF file: tokenize and continue prompts greedily.
//
//   node llama.mjs NODE_FOLDER MODEL.gguf < requests.json
//
// NODE_FOLDER holds node_modules/node-llama-cpp. Requests: [{"text", "predict", "special"}]; special reads <|name|> in
// the text as a control token and adds no start token. Prints one JSON object,
// {"results": [{"ids": the prompt's tokens, with the start token where the model asks for it, "continued": [token]}]}.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, modelPath] = process.argv.slice(2);
const requests = JSON.parse(readFileSync(0, "utf8"));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(folder, "node_modules/node-llama-cpp/dist/index.js")));

// More threads than cores make ggml's spinning workers wait for each other.
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 2, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });
const results = [];
for (const { text, predict, special } of requests) {
  const start = model.tokens.shouldPrependBosToken && special !== true ? [model.tokens.bos] : [];
  const ids = [...start, ...model.tokenize(text, special === true)];
  const context = await model.createContext({ contextSize: ids.length + predict + 8 });
  const sequence = context.getSequence();
  const continued = [];
  if (predict > 0) {
    for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      continued.push(token);
      if (continued.length === predict) break;
    }
  }
  results.push({ ids, continued });
  await context.dispose();
}
process.stdout.write(JSON.stringify({ results }) + "\n");
await model.dispose();
await llama.dispose();

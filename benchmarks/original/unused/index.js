// Stands in for what agentic-flow depends on and its reasoningbank does not need here (1.4 GB of
// it). Only the sentence model is imported by it; where that can't be loaded the package falls back
// to its own hash embeddings, which is what is measured.
export const env = { backends: { onnx: { wasm: {} } } };
export const pipeline = async () => {
  throw new Error("no sentence model here");
};

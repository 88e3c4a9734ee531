/** A tiny chat model and a tiny summarizer, in the files in which transformers.js expects them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeModel } from './onnx.ts';
import type { Graph, Node, Port, Weights } from './onnx.ts';
import { tokenizerFiles } from './tokenizer.ts';
import { createWeights, END, PAD, START, TOKENS } from './vocabulary.ts';

const LENGTH_MAX = 2_048;
const ids = (name: string, length = 'length'): Port => ({ name, type: 'int64', shape: ['batch', length] });

/** `work`: products of a matrix for each token, so that it computes for as long as a larger model would. */
export function writeChatModel(folder: string, work = 0): void {
  const { width, embedding, head, bias } = createWeights();
  const burner: Weights[] = work === 0 ? [] : [{ name: 'burner', shape: [width, width], values: new Float32Array(width * width) }];
  const burning: Node[] = Array.from({ length: work }, (_, i) => ({
    op: 'MatMul',
    inputs: [i === 0 ? 'row' : `burnt_${i - 1}`, 'burner'],
    output: `burnt_${i}`,
  }));
  const graph: Graph = {
    inputs: [ids('input_ids'), ids('attention_mask')],
    outputs: [{ name: 'logits', type: 'float', shape: ['batch', 'length', TOKENS.length] }],
    weights: [...weightsOf({ width, embedding, head, bias }), ...burner],
    nodes: [
      { op: 'Gather', inputs: ['embedding', 'input_ids'], output: 'row' },
      ...burning,
      // Zeros: they change nothing, but have to be computed.
      ...(work === 0 ? [] : [{ op: 'Add', inputs: ['row', `burnt_${work - 1}`], output: 'sum' }]),
      { op: 'MatMul', inputs: [work === 0 ? 'row' : 'sum', 'head'], output: 'scores' },
      { op: 'Add', inputs: ['scores', 'bias'], output: 'logits' },
    ],
  };
  write(
    folder,
    { 'onnx/model.onnx': encodeModel(graph) },
    {
      'config.json': {
        model_type: 'llama',
        architectures: ['LlamaForCausalLM'],
        hidden_size: width,
        intermediate_size: width,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        vocab_size: TOKENS.length,
        max_position_embeddings: LENGTH_MAX,
        bos_token_id: START,
        eos_token_id: END,
        pad_token_id: PAD,
      },
      'generation_config.json': { bos_token_id: START, eos_token_id: END, pad_token_id: PAD },
      ...tokenizerFiles({ className: 'PreTrainedTokenizerFast', marksEnds: false, lengthMax: LENGTH_MAX }),
    },
  );
}

/** BART's form: an encoder, and a decoder that sees the mean of what it read. */
export function writeSummarizer(folder: string): void {
  const { width, embedding, head, bias } = createWeights();
  const states: Port = { name: 'encoder_hidden_states', type: 'float', shape: ['batch', 'source', width] };
  const encoder: Graph = {
    inputs: [ids('input_ids'), ids('attention_mask')],
    outputs: [{ name: 'last_hidden_state', type: 'float', shape: ['batch', 'length', width] }],
    weights: [{ name: 'embedding', shape: [TOKENS.length, width], values: embedding }],
    nodes: [{ op: 'Gather', inputs: ['embedding', 'input_ids'], output: 'last_hidden_state' }],
  };
  const little = { name: 'little', shape: [1], values: Float32Array.of(0.01) };
  const decoder: Graph = {
    inputs: [ids('encoder_attention_mask', 'source'), ids('input_ids'), states],
    outputs: [{ name: 'logits', type: 'float', shape: ['batch', 'length', TOKENS.length] }],
    weights: [...weightsOf({ width, embedding, head, bias }), little],
    nodes: [
      { op: 'Gather', inputs: ['embedding', 'input_ids'], output: 'row' },
      { op: 'ReduceMean', inputs: ['encoder_hidden_states'], output: 'mean', attributes: { axes: [1], keepdims: 1 } },
      { op: 'Mul', inputs: ['mean', 'little'], output: 'context' },
      { op: 'Add', inputs: ['row', 'context'], output: 'state' },
      { op: 'MatMul', inputs: ['state', 'head'], output: 'scores' },
      { op: 'Add', inputs: ['scores', 'bias'], output: 'logits' },
    ],
  };
  const files = { 'onnx/encoder_model.onnx': encodeModel(encoder), 'onnx/decoder_model_merged.onnx': encodeModel(decoder) };
  write(folder, files, {
    'config.json': {
      model_type: 'bart',
      architectures: ['BartForConditionalGeneration'],
      is_encoder_decoder: true,
      d_model: width,
      encoder_layers: 1,
      decoder_layers: 1,
      encoder_attention_heads: 4,
      decoder_attention_heads: 4,
      vocab_size: TOKENS.length,
      max_position_embeddings: LENGTH_MAX,
      decoder_start_token_id: START,
      bos_token_id: START,
      eos_token_id: END,
      pad_token_id: PAD,
    },
    'generation_config.json': { decoder_start_token_id: START, bos_token_id: START, eos_token_id: END, pad_token_id: PAD },
    ...tokenizerFiles({ className: 'BartTokenizer', marksEnds: true, lengthMax: LENGTH_MAX }),
  });
}

function weightsOf({ width, embedding, head, bias }: ReturnType<typeof createWeights>): Weights[] {
  return [
    { name: 'embedding', shape: [TOKENS.length, width], values: embedding },
    { name: 'head', shape: [width, TOKENS.length], values: head },
    { name: 'bias', shape: [TOKENS.length], values: bias },
  ];
}

function write(folder: string, models: Record<string, Uint8Array>, texts: Record<string, object>): void {
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  for (const [name, content] of Object.entries(models)) writeFileSync(join(folder, name), content);
  for (const [name, content] of Object.entries(texts)) writeFileSync(join(folder, name), JSON.stringify(content));
}

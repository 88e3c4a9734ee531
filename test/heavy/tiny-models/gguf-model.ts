/** A tiny chat model of llama's architecture. */
import { writeFileSync } from 'node:fs';
import { createSeededRandom } from '../../../src/testing/seeded-random.ts';
import { encodeGguf } from './gguf.ts';
import type { Tensor, Value } from './gguf.ts';
import { CHAT_TEMPLATE } from './tokenizer.ts';
import { createWeights, END, PAD, SPECIALS, START, TOKENS } from './vocabulary.ts';

const HEADS = 4;
const LENGTH_MAX = 2_048;
/** What attention adds: too little to change a word. */
const FAINT = 1e-3;
const NORMAL = 1;
const CONTROL = 3;

/** `layers`: it computes for as long as a larger model would. */
export function writeLlamaModel(file: string, layers = 1): void {
  const { width, embedding, head } = createWeights(128, true);
  const size = TOKENS.length;
  const output = new Float32Array(size * width);
  for (let token = 0; token < size; token++) {
    for (let i = 0; i < width; i++) output[token * width + i] = head[i * size + token]!;
  }
  const random = createSeededRandom(4747);
  const square = (name: string): Tensor => ({
    name: `${name}.weight`,
    shape: [width, width],
    values: Float32Array.from({ length: width * width }, () => (random.next() - 0.5) * FAINT),
  });
  const ones = (name: string): Tensor => ({ name: `${name}.weight`, shape: [width], values: new Float32Array(width).fill(1) });
  const layer = (i: number): Tensor[] => [
    ...['attn_norm', 'ffn_norm'].map((name) => ones(`blk.${i}.${name}`)),
    ...['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'].map((name) => square(`blk.${i}.${name}`)),
  ];
  const tensors: Tensor[] = [
    { name: 'token_embd.weight', shape: [width, size], values: embedding },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    ones('output_norm'),
    { name: 'output.weight', shape: [width, size], values: output },
  ];
  writeFileSync(file, encodeGguf(valuesOf(width, layers), tensors));
}

function valuesOf(width: number, layers: number): Record<string, Value> {
  const number = (value: number): Value => ({ type: 'uint32', value });
  const text = (value: string): Value => ({ type: 'string', value });
  return {
    'general.architecture': text('llama'),
    'general.name': text('tiny'),
    'general.file_type': number(0),
    'llama.context_length': number(LENGTH_MAX),
    'llama.embedding_length': number(width),
    'llama.block_count': number(layers),
    'llama.feed_forward_length': number(width),
    'llama.attention.head_count': number(HEADS),
    'llama.attention.head_count_kv': number(HEADS),
    'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-5 },
    'llama.rope.dimension_count': number(width / HEADS),
    'llama.vocab_size': number(TOKENS.length),
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('gpt-2'),
    'tokenizer.ggml.tokens': { type: 'strings', value: TOKENS },
    'tokenizer.ggml.token_type': { type: 'int32s', value: TOKENS.map((_, id) => (id < SPECIALS.length ? CONTROL : NORMAL)) },
    'tokenizer.ggml.merges': { type: 'strings', value: ['a b'] },
    'tokenizer.ggml.bos_token_id': number(START),
    'tokenizer.ggml.eos_token_id': number(END),
    'tokenizer.ggml.padding_token_id': number(PAD),
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
    'tokenizer.chat_template': text(CHAT_TEMPLATE),
  };
}

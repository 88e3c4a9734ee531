/** A GGUF file (version 3) as bytes: names and values, then tensors. */

const VERSION = 3;
const ALIGNMENT = 32;
const TYPES = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;
const F32 = 0;

export type Value =
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s'; readonly value: readonly number[] };

export interface Tensor {
  readonly name: string;
  /** The innermost first. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export function encodeGguf(values: Readonly<Record<string, Value>>, tensors: readonly Tensor[]): Uint8Array {
  let offset = 0;
  const infos = tensors.map(({ name, shape, values: { byteLength } }) => {
    const info = [string(name), uint32(shape.length), ...shape.map(uint64), uint32(F32), uint64(offset)];
    offset += aligned(byteLength);
    return Buffer.concat(info);
  });
  const entries = Object.entries(values);
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(VERSION),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries.map(([key, value]) => Buffer.concat([string(key), encodeValue(value)])),
    ...infos,
  ]);
  return Buffer.concat([pad(head), ...tensors.map(({ values: data }) => pad(Buffer.from(data.buffer, data.byteOffset, data.byteLength)))]);
}

function encodeValue(given: Value): Buffer {
  switch (given.type) {
    case 'uint32':
      return Buffer.concat([uint32(TYPES.uint32), uint32(given.value)]);
    case 'float32':
      return Buffer.concat([uint32(TYPES.float32), Buffer.from(Float32Array.of(given.value).buffer)]);
    case 'bool':
      return Buffer.concat([uint32(TYPES.bool), Buffer.of(given.value ? 1 : 0)]);
    case 'string':
      return Buffer.concat([uint32(TYPES.string), string(given.value)]);
    case 'strings':
      return Buffer.concat([uint32(TYPES.array), uint32(TYPES.string), uint64(given.value.length), ...given.value.map(string)]);
    case 'int32s':
      return Buffer.concat([uint32(TYPES.array), uint32(TYPES.int32), uint64(given.value.length), ...given.value.map(uint32)]);
  }
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
}

/** Writes the wire form of protocol buffers, as much of it as ONNX needs. */

export type Message = readonly Uint8Array[];

/** A 64-bit number, never negative. */
export function varint(field: number, value: number): Uint8Array {
  return Buffer.concat([number(field * 8), number(value)]);
}

export function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([number(field * 8 + 2), number(value.byteLength), value]);
}

export function text(field: number, value: string): Uint8Array {
  return bytes(field, Buffer.from(value));
}

export function message(field: number, parts: Message): Uint8Array {
  return bytes(field, Buffer.concat(parts));
}

function number(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return Uint8Array.from(out);
}

/** An ONNX graph as the bytes of its file (field numbers: onnx.proto3). */
import { bytes, message, text, varint } from './protobuf.ts';

const IR_VERSION = 8;
const OPSET = 17;
const ELEMENT_TYPES = { float: 1, int64: 7 } as const;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

export interface Port {
  readonly name: string;
  readonly type: keyof typeof ELEMENT_TYPES;
  /** A text is a dimension that is known only when it runs. */
  readonly shape: readonly (number | string)[];
}

export interface Weights {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
}

export interface Graph {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly weights: readonly Weights[];
  readonly nodes: readonly Node[];
}

export function encodeModel(graph: Graph): Uint8Array {
  return Buffer.concat([
    varint(1, IR_VERSION),
    text(2, 'breakwater-tests'),
    message(7, [
      ...graph.nodes.map((node, i) => message(1, encodeNode(node, `${node.op}_${i}`))),
      text(2, 'tiny'),
      ...graph.weights.map((weights) => message(5, encodeWeights(weights))),
      ...graph.inputs.map((port) => message(11, encodePort(port))),
      ...graph.outputs.map((port) => message(12, encodePort(port))),
    ]),
    message(8, [text(1, ''), varint(2, OPSET)]),
  ]);
}

function encodeNode({ op, inputs, output, attributes = {} }: Node, name: string): Uint8Array[] {
  return [
    ...inputs.map((input) => text(1, input)),
    text(2, output),
    text(3, name),
    text(4, op),
    ...Object.entries(attributes).map(([key, value]) =>
      message(
        5,
        typeof value === 'number'
          ? [text(1, key), varint(3, value), varint(20, ATTRIBUTE_INT)]
          : [text(1, key), ...value.map((item) => varint(8, item)), varint(20, ATTRIBUTE_INTS)],
      ),
    ),
  ];
}

function encodeWeights({ name, shape, values }: Weights): Uint8Array[] {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return [...shape.map((size) => varint(1, size)), varint(2, ELEMENT_TYPES.float), text(8, name), bytes(9, raw)];
}

function encodePort({ name, type, shape }: Port): Uint8Array[] {
  const dimensions = shape.map((size) => message(1, [typeof size === 'number' ? varint(1, size) : text(2, size)]));
  return [text(1, name), message(2, [message(1, [varint(1, ELEMENT_TYPES[type]), message(2, dimensions)])])];
}
